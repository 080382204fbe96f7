#include "kernels/activation/isa_table.h"
#include "kernels/simd/avx2.h"

namespace dotori::avx2 {

#include "kernels/simd/exp.h"
#include "kernels/activation/body.h"

}  // namespace dotori::avx2
