#include "kernels/dot_peak/isa_table.h"
#include "kernels/simd/avx512_vnni.h"

namespace dotori::avx512_vnni {

#include "kernels/dot_peak/body.h"

}  // namespace dotori::avx512_vnni
