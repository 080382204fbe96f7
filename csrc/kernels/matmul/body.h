// The matrix products in vector words, one for all quantized formats and one for all floating ones (formats.h).
// The including file says how many panels share an activation in registers, kPanelTile, and how many tokens a weight of
// theirs: kTokenTile, kFloatTile, and by lots kLotTile, or kHalvesTile where a step has two scales. Of single panels
// few tokens take kFewTile, or kFloatTile.
//
// Every token's sums run by columns in one order, whatever the tile: a token's result is independent of its company.

#include "kernels/matmul/formats.h"

// Few tokens take their weights from single panels, as they lie: they wait for memory, which streams best in one
// sequence. More tokens have work enough for panels side by side.
constexpr int kFewTokens = 8;
constexpr int kFewColumns = 4096;  // a lot's; its activations take 32 KB, or 64
constexpr int kLotTokens = 128;    // of many tokens: 64 KB,
constexpr int kLotColumns = 512;   // and two panels of them 16 KB and their scales

// The activations of a tile's tokens as they lie; LotTile (lots.h) holds copies in the order of use.
struct Rows {
  const int8_t* q;
  const float* scales;
  const int32_t* sums;
  int64_t cols;

  DOTORI_INLINE Rows from(const Inputs& x, int64_t first) {
    return {x.q + first * x.cols, x.scale + first * (x.cols / 32), x.sum + first * (x.cols / 16), x.cols};
  }
  DOTORI_INLINE const int8_t* four(const Rows& rows, int t, int64_t column) { return rows.q + column + t * rows.cols; }
  DOTORI_INLINE float scale(const Rows& rows, int t, int64_t column) {
    return (rows.scales + column / 32)[t * (rows.cols / 32)];
  }
  DOTORI_INLINE const int32_t* sum(const Rows& rows, int t, int64_t column) {
    return rows.sums + column / 16 + t * (rows.cols / 16);
  }
  template <typename Format>
  DOTORI_INLINE int32_t start(const Rows& rows, int t, int64_t column, int part) {
    const int32_t* two = sum(rows, t, column);
    return Format::start(Format::kParts == 1 ? two[0] + two[1] : two[part]);
  }
  DOTORI_INLINE float total(const Rows& rows, int t, int64_t column) {
    const int32_t* two = sum(rows, t, column);
    return static_cast<float>(two[0] + two[1]) * scale(rows, t, column);
  }
};

// dot[t][p] = the products of one part of a step (32 / kParts columns) of P panels with T tokens, exact.
template <typename Format, int P, int T, int step, typename Tile>
DOTORI_INLINE void products(const Format (&unit)[P], int part, const Tile& tile, int64_t column, I (&dot)[T][P]) {
  constexpr int kVectors = 8 / Format::kParts;
  int32_t start[T];
  N nibbles[T][P];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
    start[t] = Tile::template start<Format>(tile, t, column, part);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      if constexpr (Format::kNibbles) nibbles[t][p] = nibbles_begin(start[t]);
      else dot[t][p] = i_all(start[t]);
    }
  }
#pragma GCC unroll 8
  for (int j = part * kVectors; j < (part + 1) * kVectors; ++j) {
    B w[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) w[p] = Format::template vector<step>(unit[p], j);
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) {
      const int8_t* four = Tile::four(tile, t, column + 4 * j);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        if constexpr (Format::kNibbles) nibbles[t][p] = dot4_nibbles(nibbles[t][p], w[p], four);
        else if constexpr (Format::kFlipped) dot[t][p] = dot4_flipped(dot[t][p], w[p], four);
        else dot[t][p] = dot4_small(dot[t][p], w[p], four);
      }
    }
  }
  if constexpr (Format::kNibbles) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) dot[t][p] = nibbles_end(nibbles[t][p], start[t]);
    }
  }
}

// acc[t][p] += the share of columns column .. column + 31.
template <typename Format, int P, int T, int step, typename Tile>
DOTORI_INLINE void add_step(const Format (&unit)[P], const Tile& tile, int64_t column, F (&acc)[T][P]) {
  I dot[T][P];
  if constexpr (Format::kParts == 1) {
    products<Format, P, T, step>(unit, 0, tile, column, dot);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const F w_scale = Format::template scale<step>(unit[p], 0);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) {
        acc[t][p] = f_fma(f_mul(w_scale, f_all(Tile::scale(tile, t, column))), f_of(dot[t][p]), acc[t][p]);
      }
    }
  } else {
    F half[T][P];
    products<Format, P, T, step>(unit, 0, tile, column, dot);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const F w_scale = Format::template scale<step>(unit[p], 0);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) half[t][p] = f_mul(w_scale, f_of(dot[t][p]));
    }
    products<Format, P, T, step>(unit, 1, tile, column, dot);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const F w_scale = Format::template scale<step>(unit[p], 1);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) {
        const F both = f_fma(w_scale, f_of(dot[t][p]), half[t][p]);
        acc[t][p] = f_fma(both, f_all(Tile::scale(tile, t, column)), acc[t][p]);
      }
    }
  }
  if constexpr (Format::kHasMinimum) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const F negative = f_sub(f_zero(), Format::template minimum<step>(unit[p]));
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) acc[t][p] = f_fma(negative, f_all(Tile::total(tile, t, column)), acc[t][p]);
    }
  }
}

// acc[t][p] += the share of `columns` columns of P panels, `bytes` apart, from their unit `index` on. kAsks: there
// is so little work that memory must be asked for weights in advance.
template <typename Format, int P, int T, bool kAsks, typename Tile>
DOTORI_INLINE void add_columns(const uint8_t* panels, int64_t bytes, int64_t index, const Tile& tile, int64_t columns,
                               F (&acc)[T][P]) {
  for (int64_t column = 0; column < columns; column += 32 * Format::kSteps, ++index) {
    Format unit[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      unit[p] = Format::at(panels + p * bytes, index);
      if constexpr (kAsks) Format::ask(unit[p]);
    }
    add_step<Format, P, T, 0>(unit, tile, column, acc);
    if constexpr (Format::kSteps > 1) add_step<Format, P, T, 1>(unit, tile, column + 32, acc);
    if constexpr (Format::kSteps > 2) add_step<Format, P, T, 2>(unit, tile, column + 64, acc);
    if constexpr (Format::kSteps > 2) add_step<Format, P, T, 3>(unit, tile, column + 96, acc);
  }
}

// P panels times the T tokens from `first` on.
template <typename Format, int P, int T>
static void quantized_times(const uint8_t* panels, int64_t bytes, const Inputs& x, int64_t first, float* y,
                            int64_t y_stride) {
  F acc[T][P];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) acc[t][p] = f_zero();
  }
  add_columns<Format, P, T, T == 1>(panels, bytes, 0, Rows::from(x, first), x.cols, acc);
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) f_store(y + (first + t) * y_stride + p * kPanelRows, acc[t][p]);
  }
}

#include "kernels/matmul/lots.h"

// The same for floating weights. Even and odd columns are summed apart: two chains hide the latency of one token.
template <typename Format, int P, int T>
static void floating_times(const uint8_t* panels, int64_t bytes, const Inputs& x, int64_t first, float* y,
                           int64_t y_stride) {
  const int64_t cols = x.cols;
  const float* values = x.values + first * cols;
  F even[T][P], odd[T][P];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) even[t][p] = odd[t][p] = f_zero();
  }
  int64_t column = 0;
  for (; column + 2 <= cols; column += 2) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const uint8_t* at = panels + p * bytes + column * Format::kColumnBytes;
      if (P == 1 && first == 0) prefetch(at + kAhead);
      if (P == 1 && first == 0 && Format::kColumnBytes == 64) prefetch(at + kAhead + 64);
      const F w = Format::column(at);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) even[t][p] = f_fma(w, f_all(values[t * cols + column]), even[t][p]);
      const F next = Format::column(at + Format::kColumnBytes);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) odd[t][p] = f_fma(next, f_all(values[t * cols + column + 1]), odd[t][p]);
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < P && column < cols; ++p) {
    const F w = Format::column(panels + p * bytes + column * Format::kColumnBytes);
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) even[t][p] = f_fma(w, f_all(values[t * cols + column]), even[t][p]);
  }
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) f_store(y + (first + t) * y_stride + p * kPanelRows, f_add(even[t][p], odd[t][p]));
  }
}

// Tiles of T tokens as long as they last, then one of the rest.
template <typename Format, int P, int T>
static void tiles_times(const uint8_t* panels, int64_t bytes, const Inputs& x, int64_t first, float* y,
                        int64_t y_stride) {
  for (; first + T <= x.tokens; first += T) {
    if constexpr (requires { Format::kSteps; }) {
      quantized_times<Format, P, T>(panels, bytes, x, first, y, y_stride);
    } else {
      floating_times<Format, P, T>(panels, bytes, x, first, y, y_stride);
    }
  }
  if constexpr (T > 1) {
    if (first < x.tokens) tiles_times<Format, P, T - 1>(panels, bytes, x, first, y, y_stride);
  }
}

// P panels after the other with all tokens: weights come from memory once, and panels stay in the nearest caches.
template <typename Format, int P, int T>
static void multiply(int64_t bytes, const uint8_t* panels, int count, const Inputs& x, float* y, int64_t y_stride) {
  for (; count >= P; count -= P, panels += P * bytes, y += P * kPanelRows) {
    tiles_times<Format, P, T>(panels, bytes, x, 0, y, y_stride);
  }
  if constexpr (P > 1) {
    if (count > 0) multiply<Format, 1, T>(bytes, panels, count, x, y, y_stride);
  }
}

template <typename Format>
DOTORI_INLINE void multiply_quantized(DType type, const uint8_t* panels, int count, const Inputs& x, float* y,
                                      int64_t y_stride) {
  constexpr int kTile = Format::kParts == 1 ? kLotTile : kHalvesTile;
  constexpr int kFew = Format::kUnpacksOnce ? 2 * kFewTokens : kFewTokens;
  const int64_t bytes = panel_bytes(type, x.cols);
  if (x.tokens == 1) {
    multiply<Format, 1, 1>(bytes, panels, count, x, y, y_stride);
  } else if (x.tokens <= kFew) {
    multiply_lots<Format, false, 1, kFewTile, kFew, kFewColumns>(bytes, panels, count, x, y, y_stride);
  } else if (Format::kUnpacksOnce) {
    multiply_lots<Format, true, kPanelTile, kTile, kLotTokens, kLotColumns>(bytes, panels, count, x, y, y_stride);
  } else {
    multiply<Format, kPanelTile, kTokenTile>(bytes, panels, count, x, y, y_stride);
  }
}

template <typename Format>
DOTORI_INLINE void multiply_floating(DType type, const uint8_t* panels, int count, const Inputs& x, float* y,
                                     int64_t y_stride) {
  const int64_t bytes = panel_bytes(type, x.cols);
  if (x.tokens <= kFewTokens) return multiply<Format, 1, kFloatTile>(bytes, panels, count, x, y, y_stride);
  multiply<Format, kPanelTile, kFloatTile>(bytes, panels, count, x, y, y_stride);
}

void matmul_f32(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply_floating<F32>(DType::F32, panels, panel_count, x, y, y_stride);
}
void matmul_f16(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply_floating<F16>(DType::F16, panels, panel_count, x, y, y_stride);
}
void matmul_bf16(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply_floating<Bf16>(DType::BF16, panels, panel_count, x, y, y_stride);
}
void matmul_q8_0(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply_quantized<Q8_0>(DType::Q8_0, panels, panel_count, x, y, y_stride);
}
void matmul_q4_0(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply_quantized<Q4_0>(DType::Q4_0, panels, panel_count, x, y, y_stride);
}
void matmul_q4_k(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply_quantized<Q4_K>(DType::Q4_K, panels, panel_count, x, y, y_stride);
}
void matmul_q6_k(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply_quantized<Q6_K>(DType::Q6_K, panels, panel_count, x, y, y_stride);
}
