#include "kernels/simd/neon_dotprod.h"

#include "kernels/attention/isa_table.h"

namespace dotori::neon_dotprod {

// 32 registers, four to a word: 6 sums, one vector that meets them, and a number of a query.
constexpr int kRowTile = 6;
constexpr int kSums = 6;

#include "kernels/simd/exp.h"

#include "kernels/attention/body.h"

}  // namespace dotori::neon_dotprod
