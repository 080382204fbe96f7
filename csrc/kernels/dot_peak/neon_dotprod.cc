#include "kernels/dot_peak/isa_table.h"
#include "kernels/simd/neon_dotprod.h"

namespace dotori::neon_dotprod {

#include "kernels/dot_peak/body.h"

}  // namespace dotori::neon_dotprod
