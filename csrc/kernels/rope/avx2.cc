#include "kernels/rope/isa_table.h"
#include "kernels/simd/avx2.h"

namespace dotori::avx2 {

#include "kernels/rope/body.h"

}  // namespace dotori::avx2
