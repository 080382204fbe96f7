#include "kernels/simd/avx2.h"

#include "kernels/matmul/isa_table.h"
#include "kernels/matmul/layouts.h"

namespace dotori::avx2 {

// 16 registers, two to a word: the dot products of three tokens; their sums pass through the nearest cache.
constexpr int kPanelTile = 1;
constexpr int kTokenTile = 3;
constexpr int kLotTile = 3;
constexpr int kHalvesTile = 3;
constexpr int kFewTile = 3;
constexpr int kFloatTile = 3;

#include "kernels/matmul/body.h"

}  // namespace dotori::avx2
