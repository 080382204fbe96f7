#include "kernels/simd/avx512_vnni.h"

#include "kernels/matmul/isa_table.h"
#include "kernels/matmul/layouts.h"

namespace dotori::avx512_vnni {

// 32 registers: 12 dot products, 12 sums and the weights; by lots ten of each are faster, with room for scales. A
// second panel halves the loads of activations, of which there is otherwise one for each product.
constexpr int kPanelTile = 2;
constexpr int kTokenTile = 6;
constexpr int kLotTile = 5;
constexpr int kHalvesTile = 5;
constexpr int kFewTile = 8;
constexpr int kFloatTile = 4;

#include "kernels/matmul/body.h"

}  // namespace dotori::avx512_vnni
