#include "kernels/rmsnorm/isa_table.h"
#include "kernels/simd/avx2.h"

namespace dotori::avx2 {

#include "kernels/rmsnorm/body.h"

}  // namespace dotori::avx2
