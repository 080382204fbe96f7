#include "kernels/activation/isa_table.h"
#include "kernels/simd/avx512_vnni.h"

namespace dotori::avx512_vnni {

#include "kernels/simd/exp.h"
#include "kernels/activation/body.h"

}  // namespace dotori::avx512_vnni
