#include "kernels/simd/neon_dotprod.h"

#include "kernels/matmul/isa_table.h"
#include "kernels/matmul/layouts.h"

namespace dotori::neon_dotprod {

// 32 registers, four to a word.
constexpr int kPanelTile = 1;
constexpr int kTokenTile = 4;
constexpr int kLotTile = 4;
constexpr int kHalvesTile = 4;
constexpr int kFewTile = 4;
constexpr int kFloatTile = 2;

#include "kernels/matmul/body.h"

}  // namespace dotori::neon_dotprod
