#include <cstring>

#include "kernels/matmul/layouts.h"
#include "kernels/matmul/matmul.h"
#include "platform/half.h"

namespace dotori {
namespace {

// Copies `count` dwords of a file's row to lane `row` of as many vectors, `turned` bits inverted on
// the way.
inline void put_dwords(const uint8_t* from, int count, int row, uint8_t* vectors, uint32_t turned = 0) {
  for (int index = 0; index < count; ++index) {
    uint32_t four;
    std::memcpy(&four, from + 4 * index, 4);
    four ^= turned;
    std::memcpy(vectors + kVectorBytes * index + 4 * row, &four, 4);
  }
}

void pack_q4_0(const uint8_t* block, int64_t index, int row, uint8_t* panel) {
  std::memcpy(panel + scales_at(index, kQ4_0Body) + 2 * row, block, 2);
  put_dwords(block + 2, 4, row, panel + body_at(index, kQ4_0Body));
}

void pack_q8_0(const uint8_t* block, int64_t index, int row, uint8_t* panel) {
  std::memcpy(panel + scales_at(index, kQ8_0Body) + 2 * row, block, 2);
  put_dwords(block + 2, 8, row, panel + body_at(index, kQ8_0Body), 0x80808080u);
}

// A file's Q4_K block: f16 d, f16 dmin, 12 bytes of scales and minima, 128 bytes of nibbles.
void pack_q4_k(const uint8_t* block, int64_t index, int row, uint8_t* panel) {
  uint8_t* out = panel + index * kQ4_KBlock;
  std::memcpy(out + 2 * row, block, 2);
  std::memcpy(out + kScaleBytes + 2 * row, block + 2, 2);
  const uint8_t* six_bits = block + 4;
  uint8_t* scales = out + kQ4_KScales + row;
  uint8_t* minima = out + kQ4_KMinima + row;
  for (int j = 0; j < 4; ++j) {
    scales[16 * j] = six_bits[j] & 63;
    minima[16 * j] = six_bits[j + 4] & 63;
    scales[16 * (j + 4)] = static_cast<uint8_t>((six_bits[j + 8] & 15) | six_bits[j] >> 6 << 4);
    minima[16 * (j + 4)] = static_cast<uint8_t>(six_bits[j + 8] >> 4 | six_bits[j + 4] >> 6 << 4);
  }
  put_dwords(block + 16, 32, row, out + kQ4_KNibbles);
}

// A file's Q6_K block: 128 bytes of low bits, 64 of high bits, 16 scales, f16 d.
void pack_q6_k(const uint8_t* block, int64_t index, int row, uint8_t* panel) {
  std::memcpy(panel + scales_at(index, kQ6_KBody) + 2 * row, block + 208, 2);
  uint8_t* body = panel + body_at(index, kQ6_KBody);
  for (int group = 0; group < 16; ++group) body[16 * group + row] = block[192 + group];
  for (int half = 0; half < 2; ++half) {
    const uint8_t *low = block + 64 * half, *high = block + 128 + 32 * half;
    uint8_t quarters[3][32];
    for (int l = 0; l < 32; ++l) {
      const int last = low[32 + l] >> 4 | high[l] >> 6 << 4;
      quarters[0][l] = static_cast<uint8_t>((low[l] & 15) | (high[l] & 3) << 4 | (last & 3) << 6);
      quarters[1][l] = static_cast<uint8_t>((low[32 + l] & 15) | (high[l] >> 2 & 3) << 4 | (last >> 2 & 3) << 6);
      quarters[2][l] = static_cast<uint8_t>(low[l] >> 4 | (high[l] >> 4 & 3) << 4 | (last >> 4 & 3) << 6);
    }
    uint8_t* out = body + kQ6_KScales + half * kQ6_KHalf;
    for (int k = 0; k < 3; ++k) put_dwords(quarters[k], 8, row, out + k * kQ6_KQuarter);
  }
}

using PackBlock = void (*)(const uint8_t* block, int64_t index, int row, uint8_t* panel);

template <PackBlock pack_block>
void pack_blocks(DType type, const uint8_t* rows_data, int64_t row_stride, int rows, int64_t cols, uint8_t* panel) {
  const BlockSize size = block_size(type);
  for (int64_t index = 0; index < cols / size.weights; ++index) {
    for (int row = 0; row < rows; ++row) {
      pack_block(rows_data + row * row_stride + index * size.bytes, index, row, panel);
    }
  }
}

// Columns by the tile, so that the 16 strided writes into each line come while it is near.
template <typename Number>
void pack_numbers(const uint8_t* rows_data, int64_t row_stride, int rows, int64_t cols, uint8_t* panel) {
  constexpr int64_t kColumns = 64;
  for (int64_t begin = 0; begin < cols; begin += kColumns) {
    const int64_t end = begin + kColumns < cols ? begin + kColumns : cols;
    for (int row = 0; row < rows; ++row) {
      const uint8_t* from = rows_data + row * row_stride;
      for (int64_t column = begin; column < end; ++column) {
        std::memcpy(panel + (column * kPanelRows + row) * sizeof(Number), from + column * sizeof(Number),
                    sizeof(Number));
      }
    }
  }
}

inline float f16_at(const uint8_t* at) {
  uint16_t half;
  std::memcpy(&half, at, 2);
  return f16_to_f32(half);
}

// The byte of a column within vectors of four columns a lane.
inline uint8_t lane_byte(const uint8_t* vectors, int row, int64_t column) {
  return vectors[column / 4 * kVectorBytes + 4 * row + column % 4];
}

void unpack_q4_0(const uint8_t* panel, int row, int64_t cols, float* out) {
  for (int64_t column = 0; column < cols; ++column) {
    const int64_t block = column / 32, l = column % 32;
    const uint8_t byte = lane_byte(panel + body_at(block, kQ4_0Body), row, l % 16);
    const int nibble = l < 16 ? byte & 15 : byte >> 4;
    out[column] = f16_at(panel + scales_at(block, kQ4_0Body) + 2 * row) * static_cast<float>(nibble - 8);
  }
}

void unpack_q8_0(const uint8_t* panel, int row, int64_t cols, float* out) {
  for (int64_t column = 0; column < cols; ++column) {
    const int64_t block = column / 32;
    const int byte = lane_byte(panel + body_at(block, kQ8_0Body), row, column % 32);
    out[column] = f16_at(panel + scales_at(block, kQ8_0Body) + 2 * row) * static_cast<float>(byte - 128);
  }
}

void unpack_q4_k(const uint8_t* panel, int row, int64_t cols, float* out) {
  for (int64_t column = 0; column < cols; ++column) {
    const uint8_t* block = panel + column / 256 * kQ4_KBlock;
    const int64_t l = column % 256, group = l / 32;
    const uint8_t byte = lane_byte(block + kQ4_KNibbles, row, l / 64 * 32 + l % 32);
    const int nibble = group % 2 == 0 ? byte & 15 : byte >> 4;
    const float scale = f16_at(block + 2 * row) * static_cast<float>(block[kQ4_KScales + 16 * group + row]);
    const float minimum =
        f16_at(block + kScaleBytes + 2 * row) * static_cast<float>(block[kQ4_KMinima + 16 * group + row]);
    out[column] = scale * static_cast<float>(nibble) - minimum;
  }
}

void unpack_q6_k(const uint8_t* panel, int row, int64_t cols, float* out) {
  for (int64_t column = 0; column < cols; ++column) {
    const int64_t block = column / 256, l = column % 32, quarter = column % 128 / 32;
    const uint8_t* body = panel + body_at(block, kQ6_KBody);
    const uint8_t* half = body + kQ6_KScales + column % 256 / 128 * kQ6_KHalf;
    int six_bits = 0;
    for (int64_t k = 0; k < 3; ++k) {
      const int byte = lane_byte(half + k * kQ6_KQuarter, row, l);
      if (k == quarter) six_bits = byte & 63;
      if (quarter == 3) six_bits |= byte >> 6 << 2 * k;
    }
    const int scale = static_cast<int8_t>(body[column % 256 / 16 * 16 + row]);
    const float d = f16_at(panel + scales_at(block, kQ6_KBody) + 2 * row);
    out[column] = d * static_cast<float>(scale) * static_cast<float>(six_bits - 32);
  }
}

}  // namespace

int64_t panel_bytes(DType type, int64_t cols) {
  switch (type) {
    case DType::F32: return cols * kPanelRows * 4;
    case DType::F16:
    case DType::BF16: return cols * kPanelRows * 2;
    case DType::Q4_0: return paired_bytes(cols / 32, kQ4_0Body);
    case DType::Q8_0: return paired_bytes(cols / 32, kQ8_0Body);
    case DType::Q4_K: return cols / 256 * kQ4_KBlock;
    case DType::Q6_K: return paired_bytes(cols / 256, kQ6_KBody);
  }
  return 0;
}

void pack_panel(DType type, const uint8_t* rows_data, int64_t row_stride, int rows, int64_t cols, uint8_t* panel) {
  // Absent rows must be zero, and the unused scales of an odd block.
  const bool odd = cols / block_size(type).weights % 2 != 0;
  if (rows < kPanelRows || odd) std::memset(panel, 0, static_cast<size_t>(panel_bytes(type, cols)));
  switch (type) {
    case DType::F32: return pack_numbers<uint32_t>(rows_data, row_stride, rows, cols, panel);
    case DType::F16:
    case DType::BF16: return pack_numbers<uint16_t>(rows_data, row_stride, rows, cols, panel);
    case DType::Q4_0: return pack_blocks<pack_q4_0>(type, rows_data, row_stride, rows, cols, panel);
    case DType::Q8_0: return pack_blocks<pack_q8_0>(type, rows_data, row_stride, rows, cols, panel);
    case DType::Q4_K: return pack_blocks<pack_q4_k>(type, rows_data, row_stride, rows, cols, panel);
    case DType::Q6_K: return pack_blocks<pack_q6_k>(type, rows_data, row_stride, rows, cols, panel);
  }
}

void unpack_row(DType type, const uint8_t* panel, int row, int64_t cols, float* out) {
  switch (type) {
    case DType::F32:
      for (int64_t column = 0; column < cols; ++column) {
        std::memcpy(out + column, panel + (column * kPanelRows + row) * 4, 4);
      }
      return;
    case DType::F16:
      for (int64_t column = 0; column < cols; ++column) out[column] = f16_at(panel + (column * kPanelRows + row) * 2);
      return;
    case DType::BF16:
      for (int64_t column = 0; column < cols; ++column) {
        uint16_t value;
        std::memcpy(&value, panel + (column * kPanelRows + row) * 2, 2);
        out[column] = bf16_to_f32(value);
      }
      return;
    case DType::Q4_0: return unpack_q4_0(panel, row, cols, out);
    case DType::Q8_0: return unpack_q8_0(panel, row, cols, out);
    case DType::Q4_K: return unpack_q4_k(panel, row, cols, out);
    case DType::Q6_K: return unpack_q6_k(panel, row, cols, out);
  }
}

}  // namespace dotori
