// y = W x for weights stored as panels of 16 rows.
//
// Letters: N rows of W (outputs), K columns (inputs), T tokens. A panel holds 16 consecutive rows, interleaved so that
// one 64-byte vector carries the same four columns of all 16 rows, as 16 lanes of 4 bytes; lane r is row r. Rows past N
// in the last panel are zero. layouts.h draws every type's bytes. The same panels serve every instruction set.
//
// Contract: y[t * y_stride + 16 p + r] for t < T, p < panels, r < 16 is written, so y has room for N rounded up to 16
// rows a token. Nothing is allocated, nothing throws. The result of a token does not depend on T or on how panels are
// shared among threads: prefill, decode and speculation give the same bits.
#pragma once

#include <cstdint>

#include "platform/dtype.h"

namespace dotori {

constexpr int kPanelRows = 16;

// T tokens as a kernel reads them. Quantized weights read q, scale and sum; F32, F16 and BF16 weights read values.
struct Inputs {
  const float* values;    // (T, K) float32
  const int8_t* q;        // (T, K) value = q * scale, -127..127
  const float* scale;     // (T, K / 32)
  const int32_t* sum;     // (T, K / 16) sums of 16 consecutive q
  int tokens;             // T
  int cols;               // K
};

// Bytes of one panel of `cols` columns.
int64_t panel_bytes(DType type, int64_t cols);

// Lays `rows` (1..16) consecutive rows of a GGUF file, `row_stride` bytes apart, out as a panel.
void pack_panel(DType type, const uint8_t* rows_data, int64_t row_stride, int rows, int64_t cols, uint8_t* panel);

// Row `row` (0..15) of a panel as float32 (cols): embedding lookup from a tied head.
void unpack_row(DType type, const uint8_t* panel, int row, int64_t cols, float* out);

using Matmul = void (*)(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride);

}  // namespace dotori
