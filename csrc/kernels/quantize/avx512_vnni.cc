#include "kernels/simd/avx512_vnni.h"

#include "kernels/quantize/isa_table.h"

namespace dotori::avx512_vnni {
#include "kernels/quantize/body.h"
}  // namespace dotori::avx512_vnni
