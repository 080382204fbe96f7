// The matrix products in vector words, one for all quantized formats and one for all floating ones (formats.h).
// The including file says how many tokens share a weight in registers: kTokenTile, kHalvesTile where a step has two
// scales, kFloatTile; and how many panels share an activation: kPanelTile.
//
// Every token's sums run by columns in one order, whatever the tile: a token's result is independent of its company.

#include "kernels/matmul/formats.h"

// How far ahead of its products a single panel's first tile asks for weights: few tokens wait for nothing but memory,
// and memory streams best in one sequence. More tokens than kFewTokens have work enough for panels side by side.
constexpr int kAhead = 8192;
constexpr int kFewTokens = 8;

// Activations of the tokens of a tile.
struct Tile {
  const int8_t* q;
  const float* scale;
  const int32_t* sum;
  int64_t cols;
};

// dot[t][p] = the products of one part of a step (32 / kParts columns) of P panels with T tokens, exact.
template <typename Format, int P, int T, int step>
DOTORI_INLINE void products(const Format (&unit)[P], int part, const Tile& tile, int64_t column,
                            const int32_t (&start)[T], I (&dot)[T][P]) {
  constexpr int kVectors = 8 / Format::kParts;
  const int8_t* q = tile.q + column;
  N nibbles[T][P];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
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
      const int8_t* four = q + t * tile.cols + 4 * j;
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
template <typename Format, int P, int T, int step>
DOTORI_INLINE void add_step(const Format (&unit)[P], const Tile& tile, int64_t column, F (&acc)[T][P]) {
  const float* scale = tile.scale + column / 32;
  const int32_t* sum = tile.sum + column / 16;
  const int64_t scales = tile.cols / 32, sums = tile.cols / 16;
  I dot[T][P];
  int32_t start[T];
  if constexpr (Format::kParts == 1) {
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) start[t] = Format::start(sum[t * sums] + sum[t * sums + 1]);
    products<Format, P, T, step>(unit, 0, tile, column, start, dot);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const F w_scale = Format::template scale<step>(unit[p], 0);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) {
        acc[t][p] = f_fma(f_mul(w_scale, f_all(scale[t * scales])), f_of(dot[t][p]), acc[t][p]);
      }
    }
  } else {
    F half[T][P];
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) start[t] = Format::start(sum[t * sums]);
    products<Format, P, T, step>(unit, 0, tile, column, start, dot);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const F w_scale = Format::template scale<step>(unit[p], 0);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) half[t][p] = f_mul(w_scale, f_of(dot[t][p]));
    }
#pragma GCC unroll 16
    for (int t = 0; t < T; ++t) start[t] = Format::start(sum[t * sums + 1]);
    products<Format, P, T, step>(unit, 1, tile, column, start, dot);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const F w_scale = Format::template scale<step>(unit[p], 1);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) {
        acc[t][p] = f_fma(f_fma(w_scale, f_of(dot[t][p]), half[t][p]), f_all(scale[t * scales]), acc[t][p]);
      }
    }
  }
  if constexpr (Format::kHasMinimum) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const F negative = f_sub(f_zero(), Format::template minimum<step>(unit[p]));
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) {
        const float total = static_cast<float>(sum[t * sums] + sum[t * sums + 1]) * scale[t * scales];
        acc[t][p] = f_fma(negative, f_all(total), acc[t][p]);
      }
    }
  }
}

// P panels, `bytes` apart, times the T tokens from `first` on.
template <typename Format, int P, int T>
static void quantized_times(const uint8_t* panels, int64_t bytes, const Inputs& x, int64_t first, float* y,
                            int64_t y_stride) {
  const int64_t cols = x.cols;
  const Tile tile = {x.q + first * cols, x.scale + first * (cols / 32), x.sum + first * (cols / 16), cols};
  F acc[T][P];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) acc[t][p] = f_zero();
  }
  int64_t index = 0;
  for (int64_t column = 0; column < cols; column += 32 * Format::kSteps, ++index) {
    Format unit[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      unit[p] = Format::at(panels + p * bytes, index);
      if (P == 1 && first == 0) {
#pragma GCC unroll 32
        for (int line = 0; line < Format::kUnitBytes; line += 64) prefetch(Format::weights(unit[p]) + line + kAhead);
      }
    }
    add_step<Format, P, T, 0>(unit, tile, column, acc);
    if constexpr (Format::kSteps > 1) add_step<Format, P, T, 1>(unit, tile, column + 32, acc);
    if constexpr (Format::kSteps > 2) add_step<Format, P, T, 2>(unit, tile, column + 64, acc);
    if constexpr (Format::kSteps > 2) add_step<Format, P, T, 3>(unit, tile, column + 96, acc);
  }
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) f_store(y + (first + t) * y_stride + p * kPanelRows, acc[t][p]);
  }
}

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

// Tiles of T tokens as long as they last, then of fewer.
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
  constexpr int kFewer = T > 4 ? 4 : T > 2 ? 2 : 1;
  if constexpr (T > 1) tiles_times<Format, P, kFewer>(panels, bytes, x, first, y, y_stride);
}

// P panels after the other with all tokens: weights come from memory once, and panels stay in the nearest caches.
template <typename Format, int P, int T>
static void multiply(int64_t bytes, const uint8_t* panels, int count, const Inputs& x, float* y, int64_t y_stride) {
  const int together = x.tokens <= kFewTokens ? 1 : P;
  for (; count >= together; count -= together, panels += together * bytes, y += together * kPanelRows) {
    if (together == 1) {
      tiles_times<Format, 1, T>(panels, bytes, x, 0, y, y_stride);
    } else {
      tiles_times<Format, P, T>(panels, bytes, x, 0, y, y_stride);
    }
  }
  if (count > 0) multiply<Format, 1, T>(bytes, panels, count, x, y, y_stride);
}

void matmul_f32(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply<F32, kPanelTile, kFloatTile>(panel_bytes(DType::F32, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_f16(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply<F16, kPanelTile, kFloatTile>(panel_bytes(DType::F16, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_bf16(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply<Bf16, kPanelTile, kFloatTile>(panel_bytes(DType::BF16, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_q8_0(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply<Q8_0, kPanelTile, kTokenTile>(panel_bytes(DType::Q8_0, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_q4_0(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply<Q4_0, kPanelTile, kTokenTile>(panel_bytes(DType::Q4_0, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_q4_k(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply<Q4_K, kPanelTile, kTokenTile>(panel_bytes(DType::Q4_K, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_q6_k(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  multiply<Q6_K, kPanelTile, kHalvesTile>(panel_bytes(DType::Q6_K, x.cols), panels, panel_count, x, y, y_stride);
}
