#include "kernels/simd/avx512_vnni.h"

#include "kernels/attention/isa_table.h"

namespace dotori::avx512_vnni {

// 32 registers: 24 sums, the vectors that meet them, and a number of a query.
constexpr int kRowTile = 8;
constexpr int kSums = 24;

#include "kernels/simd/exp.h"

#include "kernels/attention/body.h"

}  // namespace dotori::avx512_vnni
