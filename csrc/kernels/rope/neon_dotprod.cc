#include "kernels/rope/isa_table.h"
#include "kernels/simd/neon_dotprod.h"

namespace dotori::neon_dotprod {

#include "kernels/rope/body.h"

}  // namespace dotori::neon_dotprod
