#include "kernels/dot_peak/isa_table.h"
#include "kernels/simd/avx2.h"

namespace dotori::avx2 {

#include "kernels/dot_peak/body.h"

}  // namespace dotori::avx2
