#include "kernels/rmsnorm/isa_table.h"
#include "kernels/simd/neon_dotprod.h"

namespace dotori::neon_dotprod {

#include "kernels/rmsnorm/body.h"

}  // namespace dotori::neon_dotprod
