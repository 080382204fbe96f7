#include <cstring>

#include "kernels/matmul/layouts.h"
#include "kernels/sparse_ffn/layouts.h"
#include "kernels/sparse_ffn/sparse_ffn.h"

namespace dotori {
namespace {

constexpr uint32_t kHighestBits = 0x80808080u;
constexpr uint32_t kLowNibbles = 0x0f0f0f0fu;

inline uint32_t dword_at(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, 4);
  return value;
}

inline void put_dword(uint8_t* at, uint32_t value) { std::memcpy(at, &value, 4); }

// Four rows of four bytes become four columns.
inline void transpose_bytes(uint32_t (&four)[4]) {
  const uint32_t a = (four[0] & 0x00ff00ffu) | (four[1] & 0x00ff00ffu) << 8;
  const uint32_t b = (four[0] >> 8 & 0x00ff00ffu) | (four[1] & 0xff00ff00u);
  const uint32_t c = (four[2] & 0x00ff00ffu) | (four[3] & 0x00ff00ffu) << 8;
  const uint32_t d = (four[2] >> 8 & 0x00ff00ffu) | (four[3] & 0xff00ff00u);
  four[0] = (a & 0xffffu) | c << 16;
  four[1] = (b & 0xffffu) | d << 16;
  four[2] = a >> 16 | (c & 0xffff0000u);
  four[3] = b >> 16 | (d & 0xffff0000u);
}

// Dimensions `dimension` .. + 3 and, as high nibbles, the four that lie 64 further, of all 32 neurons. blocks: the
// file's nibbles of each of the eight; `out`: where neuron 0 has the four bytes.
void put_nibbles(const uint8_t* const (&blocks)[8], uint8_t* out, int64_t neuron_stride) {
  uint8_t low[4][16], high[4][16];  // of neurons 0..15 and 16..31
  for (int i = 0; i < 4; ++i) {
    for (int m = 0; m < 16; ++m) {
      const uint8_t near = blocks[i][m], far = blocks[i + 4][m];
      low[i][m] = static_cast<uint8_t>((near & 15) | far << 4);
      high[i][m] = static_cast<uint8_t>(near >> 4 | (far & 0xf0));
    }
  }
  for (int m = 0; m < 16; m += 4) {
    uint32_t four[4] = {dword_at(low[0] + m), dword_at(low[1] + m), dword_at(low[2] + m), dword_at(low[3] + m)};
    transpose_bytes(four);
    for (int i = 0; i < 4; ++i) put_dword(out + (m + i) * neuron_stride, four[i]);
    uint32_t next[4] = {dword_at(high[0] + m), dword_at(high[1] + m), dword_at(high[2] + m), dword_at(high[3] + m)};
    transpose_bytes(next);
    for (int i = 0; i < 4; ++i) put_dword(out + (16 + m + i) * neuron_stride, next[i]);
  }
}

// blocks: rows of one column of blocks.
void pack_group_q4_0(const uint8_t* blocks, int64_t row_stride, int64_t hidden_size, uint8_t* out) {
  static const uint8_t kAbsent[16] = {};
  const int64_t stride = neuron_stride(DType::Q4_0, hidden_size);
  for (int64_t begin = 0; begin < hidden_size; begin += 128) {
    for (int64_t l = 0; l < 64; l += 4) {
      const uint8_t* places[8];
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t near = begin + l + i, far = near + 64;
        places[i] = blocks + near * row_stride + 2;
        places[i + 4] = far < hidden_size ? blocks + far * row_stride + 2 : kAbsent;
      }
      put_nibbles(places, out + begin / 2 + dimension_byte(l), stride);
    }
  }
}

void pack_group_q8_0(const uint8_t* blocks, int64_t row_stride, int64_t hidden_size, uint8_t* out) {
  const int64_t stride = neuron_stride(DType::Q8_0, hidden_size);
  for (int64_t dimension = 0; dimension < hidden_size; dimension += 4) {
    const uint8_t* from = blocks + dimension * row_stride + 2;
    uint8_t* to = out + dimension / 64 * 64 + dimension_byte(dimension % 64);
    for (int neuron = 0; neuron < kGroupNeurons; neuron += 4) {
      uint32_t four[4];
      for (int i = 0; i < 4; ++i) four[i] = dword_at(from + i * row_stride + neuron) ^ kHighestBits;
      transpose_bytes(four);
      for (int i = 0; i < 4; ++i) put_dword(to + (neuron + i) * stride, four[i]);
    }
  }
}

// Vector j, lanes 4k .. 4k + 3 of a panel's body, from the four bytes that neurons 0.. have `stride` apart at `from`.
void put_panel_lanes(DType type, const uint8_t* from, int64_t stride, int shift, int j, uint8_t* lanes) {
  uint32_t four[4];
  for (int c = 0; c < 4; ++c) {
    const uint8_t* neuron = from + (4 * j + c) * stride;
    if (type == DType::Q8_0) {
      four[c] = dword_at(neuron);
    } else {
      const uint32_t near = dword_at(neuron) >> shift, far = dword_at(neuron + 16 * stride) >> shift;
      four[c] = (near & kLowNibbles) | (far & kLowNibbles) << 4;
    }
  }
  transpose_bytes(four);
  for (int r = 0; r < 4; ++r) put_dword(lanes + 4 * r, four[r]);
}

// A panel's last pair of blocks has scales for a second block, which are zero when there is none.
void clear_absent_scales(int64_t blocks, int body_bytes, uint8_t* panel) {
  if (blocks % 2 != 0) std::memset(panel + scales_at(blocks, body_bytes), 0, kScaleBytes);
}

}  // namespace

int64_t neuron_group_bytes(DType type, int64_t hidden_size) { return group_bytes(type, hidden_size); }

void pack_up(DType type, const uint8_t* row, int neuron, int64_t hidden_size, uint8_t* groups) {
  uint8_t* out = groups + split_row_at(type, hidden_size, neuron);
  const int64_t cols = hidden_size;
  const int64_t blocks = cols / 32, lanes = split_lanes(cols), dwords = lane_bytes(type) / 4;
  const uint32_t turned = type == DType::Q8_0 ? kHighestBits : 0;
  if (blocks % 16 != 0) std::memset(out, 0, static_cast<size_t>(split_bytes(type, cols)));
  uint8_t* scales = out + split_scales_at(type, cols);
  for (int64_t block = 0; block < blocks; ++block) {
    const uint8_t* from = row + block * block_size(type).bytes;
    const int64_t lane = block / 16 * 16, stride = split_stride(lanes, lane);
    uint8_t* to = out + lane * lane_bytes(type) + block % 16 * 4;
    std::memcpy(scales + 2 * block, from, 2);
    for (int64_t j = 0; j < dwords; ++j) put_dword(to + j * stride, dword_at(from + 2 + 4 * j) ^ turned);
  }
}

void pack_down(DType type, const uint8_t* rows, int64_t row_stride, int block, int64_t hidden_size, uint8_t* groups) {
  uint8_t* out = groups + block * group_bytes(type, hidden_size);
  const uint8_t* blocks = rows + static_cast<int64_t>(block) * block_size(type).bytes;
  uint8_t* scales = out + group_scales_at(type, hidden_size);
  for (int64_t dimension = 0; dimension < hidden_size; ++dimension) {
    std::memcpy(scales + 2 * dimension, blocks + dimension * row_stride, 2);
  }
  if (type == DType::Q4_0) return pack_group_q4_0(blocks, row_stride, hidden_size, out);
  pack_group_q8_0(blocks, row_stride, hidden_size, out);
}

// A panel's vector j has in lane r what the split row r has in a lane of its vector j: 16 x 16 dwords change places.
void up_panel(const SparseExpert& expert, int panel, int first_block, uint8_t* out) {
  const DType type = expert.type;
  const int64_t cols = expert.hidden_size, blocks = cols / 32, lanes = split_lanes(cols), dwords = lane_bytes(type) / 4;
  const int64_t stride = neuron_stride(type, cols), scales = split_scales_at(type, cols);
  const int body_bytes = type == DType::Q4_0 ? kQ4_0Body : kQ8_0Body;
  const uint8_t* rows = expert.groups + split_row_at(type, cols, static_cast<int64_t>(panel) * kPanelRows);
  for (int64_t block = first_block; block < blocks; ++block) {
    const int64_t lane = block / 16 * 16, vector_stride = split_stride(lanes, lane);
    const uint8_t* from = rows + lane * lane_bytes(type) + block % 16 * 4;
    uint8_t* body = out + body_at(block, body_bytes);
    uint8_t* panel_scales = out + scales_at(block, body_bytes);
    for (int64_t r = 0; r < kPanelRows; ++r) {
      std::memcpy(panel_scales + 2 * r, rows + r * stride + scales + 2 * block, 2);
    }
    for (int64_t j = 0; j < dwords; ++j) {
      for (int64_t r = 0; r < kPanelRows; ++r) {
        put_dword(body + j * kVectorBytes + 4 * r, dword_at(from + r * stride + j * vector_stride));
      }
    }
  }
  clear_absent_scales(blocks, body_bytes, out);
}

void down_panel(const SparseExpert& expert, int panel, uint8_t* out) {
  const DType type = expert.type;
  const int64_t hidden = expert.hidden_size, blocks = expert.neurons / kGroupNeurons;
  const int64_t first = static_cast<int64_t>(panel) * kPanelRows;
  const int64_t stride = neuron_stride(type, hidden), whole = group_bytes(type, hidden);
  const bool nibbles = type == DType::Q4_0;
  const int body_bytes = nibbles ? kQ4_0Body : kQ8_0Body;
  const int64_t vector = nibbles ? first / 128 : first / 64;
  const int shift = nibbles && first % 128 >= 64 ? 4 : 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const uint8_t* group = expert.groups + block * whole;
    const uint8_t* from = group + 64 * vector + dimension_byte(first % 64);
    uint8_t* body = out + body_at(block, body_bytes);
    std::memcpy(out + scales_at(block, body_bytes), group + group_scales_at(type, hidden) + 2 * first, kScaleBytes);
    for (int j = 0; j < body_bytes / kVectorBytes; ++j) {
      for (int k = 0; k < 4; ++k) {
        put_panel_lanes(type, from + 16 * k, stride, shift, j, body + j * kVectorBytes + 16 * k);
      }
    }
  }
  clear_absent_scales(blocks, body_bytes, out);
}

int64_t sparse_ffn_scratch(int hidden_size, int neurons) {
  // h, active; h as int8 with scales and sums; x by lanes with scales and starts. See body.h.
  const int64_t lanes = (split_lanes(hidden_size) + 15) / 16 * 16;
  return 2 * static_cast<int64_t>(neurons) + neurons / 4 + neurons / 32 + neurons / 16 + 8 * lanes + 2 * lanes;
}

}  // namespace dotori
