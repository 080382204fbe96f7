#include "kernels/matmul/isa_table.h"
#include "kernels/matmul/layouts.h"
#include "platform/half.h"

namespace dotori::reference {
namespace {

float f16_at(const uint8_t* at) { return f16_to_f32(static_cast<uint16_t>(at[0] | at[1] << 8)); }

// A weight is scale * level - minimum.
struct Weight {
  float scale, minimum;
  int level;
};

Weight weight_q4_0(const uint8_t* panel, int row, int64_t column) {
  const uint8_t* body = panel + body_at(column / 32, kQ4_0Body);
  const int64_t l = column % 32;
  const int byte = body[l % 16 / 4 * 64 + row * 4 + l % 4];
  return {f16_at(panel + scales_at(column / 32, kQ4_0Body) + 2 * row), 0.0f, (l < 16 ? byte % 16 : byte / 16) - 8};
}

Weight weight_q8_0(const uint8_t* panel, int row, int64_t column) {
  const uint8_t* body = panel + body_at(column / 32, kQ8_0Body);
  const int byte = body[column % 32 / 4 * 64 + row * 4 + column % 4];
  return {f16_at(panel + scales_at(column / 32, kQ8_0Body) + 2 * row), 0.0f, byte - 128};
}

Weight weight_q4_k(const uint8_t* panel, int row, int64_t column) {
  const uint8_t* block = panel + column / 256 * kQ4_KBlock;
  const int64_t group = column % 256 / 32, l = column % 32;
  const int byte = block[kQ4_KNibbles + (group / 2 * 8 + l / 4) * 64 + row * 4 + l % 4];
  const float scale = f16_at(block + 2 * row) * block[kQ4_KScales + group * 16 + row];
  const float minimum = f16_at(block + 32 + 2 * row) * block[kQ4_KMinima + group * 16 + row];
  return {scale, minimum, group % 2 ? byte / 16 : byte % 16};
}

Weight weight_q6_k(const uint8_t* panel, int row, int64_t column) {
  const uint8_t* body = panel + body_at(column / 256, kQ6_KBody);
  const uint8_t* half = body + kQ6_KScales + column % 256 / 128 * kQ6_KHalf;
  const int64_t quarter = column % 128 / 32, l = column % 32;
  const int64_t at = l / 4 * 64 + row * 4 + l % 4;
  const int level = quarter < 3 ? half[quarter * kQ6_KQuarter + at] % 64
                                : half[at] / 64 + 4 * (half[kQ6_KQuarter + at] / 64) +
                                      16 * (half[2 * kQ6_KQuarter + at] / 64);
  const int scale = static_cast<int8_t>(body[column % 256 / 16 * 16 + row]);
  return {f16_at(panel + scales_at(column / 256, kQ6_KBody) + 2 * row) * static_cast<float>(scale), 0.0f, level - 32};
}

// Groups of 16 columns share scales in every format: an exact integer product each, summed in double.
template <Weight (*weight)(const uint8_t*, int, int64_t)>
void quantized(int64_t bytes, const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  const int64_t cols = x.cols;
  for (int t = 0; t < x.tokens; ++t) {
    for (int n = 0; n < panel_count * kPanelRows; ++n) {
      const uint8_t* panel = panels + n / kPanelRows * bytes;
      double total = 0.0;
      for (int64_t column = 0; column < cols; column += 16) {
        const Weight shared = weight(panel, n % kPanelRows, column);
        int dot = 0, sum = 0;
        for (int64_t i = column; i < column + 16; ++i) {
          dot += weight(panel, n % kPanelRows, i).level * x.q[t * cols + i];
          sum += x.q[t * cols + i];
        }
        const double scale = x.scale[t * (cols / 32) + column / 32];
        total += scale * (static_cast<double>(shared.scale) * dot - static_cast<double>(shared.minimum) * sum);
      }
      y[t * y_stride + n] = static_cast<float>(total);
    }
  }
}

float value_f32(const uint8_t* panel, int64_t index) {
  uint32_t bits = 0;
  for (int byte = 3; byte >= 0; --byte) bits = bits << 8 | panel[4 * index + byte];
  return bits_to_float(bits);
}
float value_f16(const uint8_t* panel, int64_t index) { return f16_at(panel + 2 * index); }
float value_bf16(const uint8_t* panel, int64_t index) {
  return bf16_to_f32(static_cast<uint16_t>(panel[2 * index] | panel[2 * index + 1] << 8));
}

template <float (*value)(const uint8_t*, int64_t)>
void floating(int64_t bytes, const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  for (int t = 0; t < x.tokens; ++t) {
    for (int n = 0; n < panel_count * kPanelRows; ++n) {
      const uint8_t* panel = panels + n / kPanelRows * bytes;
      double total = 0.0;
      for (int64_t column = 0; column < x.cols; ++column) {
        total += static_cast<double>(value(panel, column * kPanelRows + n % kPanelRows)) *
                 x.values[static_cast<int64_t>(t) * x.cols + column];
      }
      y[t * y_stride + n] = static_cast<float>(total);
    }
  }
}

}  // namespace

void matmul_f32(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  floating<value_f32>(panel_bytes(DType::F32, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_f16(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  floating<value_f16>(panel_bytes(DType::F16, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_bf16(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  floating<value_bf16>(panel_bytes(DType::BF16, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_q8_0(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  quantized<weight_q8_0>(panel_bytes(DType::Q8_0, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_q4_0(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  quantized<weight_q4_0>(panel_bytes(DType::Q4_0, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_q4_k(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  quantized<weight_q4_k>(panel_bytes(DType::Q4_K, x.cols), panels, panel_count, x, y, y_stride);
}
void matmul_q6_k(const uint8_t* panels, int panel_count, const Inputs& x, float* y, int64_t y_stride) {
  quantized<weight_q6_k>(panel_bytes(DType::Q6_K, x.cols), panels, panel_count, x, y, y_stride);
}

}  // namespace dotori::reference
