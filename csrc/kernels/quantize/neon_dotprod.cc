#include "kernels/simd/neon_dotprod.h"

#include "kernels/quantize/isa_table.h"

namespace dotori::neon_dotprod {
#include "kernels/quantize/body.h"
}  // namespace dotori::neon_dotprod
