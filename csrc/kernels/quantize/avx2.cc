#include "kernels/simd/avx2.h"

#include "kernels/quantize/isa_table.h"

namespace dotori::avx2 {
#include "kernels/quantize/body.h"
}  // namespace dotori::avx2
