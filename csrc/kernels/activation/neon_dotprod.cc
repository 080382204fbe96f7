#include "kernels/activation/isa_table.h"
#include "kernels/simd/neon_dotprod.h"

namespace dotori::neon_dotprod {

#include "kernels/simd/exp.h"
#include "kernels/activation/body.h"

}  // namespace dotori::neon_dotprod
