#include "kernels/rmsnorm/isa_table.h"
#include "kernels/simd/avx512_vnni.h"

namespace dotori::avx512_vnni {

#include "kernels/rmsnorm/body.h"

}  // namespace dotori::avx512_vnni
