// What the test and the benchmark of the matrix products share: the tables that this processor runs, random rows of
// GGUF files and their plain dequantization.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/matmul/isa_table.h"
#include "kernels/quantize/isa_table.h"
#include "platform/cpu_features.h"
#include "platform/half.h"

namespace dotori::test {

constexpr DType kTypes[] = {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q4_K, DType::Q6_K};
constexpr int kTypeCount = 7;

struct IsaProducts {
  const char* name;
  Matmul of[kTypeCount];  // in the order of kTypes
  Quantize quantize;
};

inline std::vector<IsaProducts> runnable_products() {
  std::vector<IsaProducts> found;
  {
    using namespace reference;
    found.push_back({"reference",
                     {matmul_f32, matmul_f16, matmul_bf16, matmul_q8_0, matmul_q4_0, matmul_q4_k, matmul_q6_k},
                     reference::quantize});
  }
#ifdef DOTORI_HAS_AVX2
  if (has_avx2()) {
    using namespace avx2;
    found.push_back({"avx2",
                     {matmul_f32, matmul_f16, matmul_bf16, matmul_q8_0, matmul_q4_0, matmul_q4_k, matmul_q6_k},
                     avx2::quantize});
  }
#endif
#ifdef DOTORI_HAS_AVX512_VNNI
  if (has_avx512_vnni()) {
    using namespace avx512_vnni;
    found.push_back({"avx512_vnni",
                     {matmul_f32, matmul_f16, matmul_bf16, matmul_q8_0, matmul_q4_0, matmul_q4_k, matmul_q6_k},
                     avx512_vnni::quantize});
  }
#endif
#ifdef DOTORI_HAS_NEON_DOTPROD
  if (has_neon_dotprod()) {
    using namespace neon_dotprod;
    found.push_back({"neon_dotprod",
                     {matmul_f32, matmul_f16, matmul_bf16, matmul_q8_0, matmul_q4_0, matmul_q4_k, matmul_q6_k},
                     neon_dotprod::quantize});
  }
#endif
  return found;
}

struct Random {
  uint64_t state;

  uint32_t bits() {  // xorshift64*
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return static_cast<uint32_t>(state * 2685821657736338717ull >> 32);
  }
  float uniform() { return static_cast<float>(bits()) * 0x1p-31f - 1.0f; }  // -1..1
  int below(int count) { return static_cast<int>(bits() % static_cast<uint32_t>(count)); }
};

inline void put_u16(uint8_t* at, uint16_t value) { std::memcpy(at, &value, 2); }
inline float get_f16(const uint8_t* at) { return f16_to_f32(static_cast<uint16_t>(at[0] | at[1] << 8)); }

// Positions of the f16 scales in a block of a file.
inline std::vector<int> scale_positions(DType type) {
  switch (type) {
    case DType::Q4_0:
    case DType::Q8_0: return {0};
    case DType::Q4_K: return {0, 2};
    case DType::Q6_K: return {208};
    default: return {};
  }
}

// A scale: mostly ordinary, at times zero, subnormal or the largest.
inline uint16_t random_scale(Random& random) {
  switch (random.below(16)) {
    case 0: return 0;
    case 1: return static_cast<uint16_t>(1 + random.below(1023));
    case 2: return 0x7bff;
    case 3: return 0xfbff;
    default: return f32_to_f16(random.uniform() * 0.05f);
  }
}

// `rows` rows of a file, row_bytes(type, cols) each.
inline std::vector<uint8_t> random_rows(DType type, int rows, int64_t cols, Random& random) {
  std::vector<uint8_t> data(static_cast<size_t>(rows * row_bytes(type, cols)));
  const BlockSize size = block_size(type);
  if (size.weights > 1) {
    for (uint8_t& byte : data) byte = static_cast<uint8_t>(random.bits() >> 24);
    for (size_t block = 0; block < data.size(); block += static_cast<size_t>(size.bytes)) {
      for (int position : scale_positions(type)) put_u16(&data[block + position], random_scale(random));
    }
    return data;
  }
  for (size_t at = 0; at < data.size(); at += static_cast<size_t>(size.bytes)) {
    const float value = random.uniform() * 0.1f;
    const uint32_t bits = float_to_bits(value);
    if (type == DType::F32) std::memcpy(&data[at], &value, 4);
    if (type == DType::F16) put_u16(&data[at], f32_to_f16(value));
    if (type == DType::BF16) put_u16(&data[at], static_cast<uint16_t>(bits >> 16));
  }
  return data;
}

// One row of a file as floats, and beside them the largest that the parts of each weight (its product and its
// minimum) may be: errors are measured against that.
struct PlainRow {
  std::vector<float> weights;
  std::vector<double> parts;
};

inline void dequantize_q4_k(const uint8_t* block, PlainRow& row) {
  const float d = get_f16(block), d_minimum = get_f16(block + 2);
  const uint8_t* packed = block + 4;
  for (int j = 0; j < 8; ++j) {
    const int scale = j < 4 ? packed[j] & 63 : (packed[j + 4] & 15) | packed[j - 4] >> 6 << 4;
    const int minimum = j < 4 ? packed[j + 4] & 63 : packed[j + 4] >> 4 | packed[j] >> 6 << 4;
    for (int l = 0; l < 32; ++l) {
      const int byte = block[16 + j / 2 * 32 + l], q = j % 2 ? byte >> 4 : byte & 15;
      const float product = d * static_cast<float>(scale) * static_cast<float>(q);
      const float offset = d_minimum * static_cast<float>(minimum);
      row.weights.push_back(product - offset);
      row.parts.push_back(std::fabs(static_cast<double>(product)) + std::fabs(static_cast<double>(offset)));
    }
  }
}

inline void dequantize_q6_k(const uint8_t* block, PlainRow& row) {
  const float d = get_f16(block + 208);
  for (int column = 0; column < 256; ++column) {
    const int half = column / 128, quarter = column % 128 / 32, l = column % 32;
    const int low = block[64 * half + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
    const int high = block[128 + 32 * half + l] >> (2 * quarter) & 3;
    const float scale = d * static_cast<float>(static_cast<int8_t>(block[192 + column / 16]));
    row.weights.push_back(scale * static_cast<float>(low + 16 * high - 32));
    row.parts.push_back(std::fabs(row.weights.back()));
  }
}

inline PlainRow dequantize(DType type, const uint8_t* data, int64_t cols) {
  PlainRow row;
  const BlockSize size = block_size(type);
  for (int64_t block = 0; block < cols / size.weights; ++block, data += size.bytes) {
    if (type == DType::Q4_K) {
      dequantize_q4_k(data, row);
      continue;
    }
    if (type == DType::Q6_K) {
      dequantize_q6_k(data, row);
      continue;
    }
    for (int i = 0; i < size.weights; ++i) {
      float value = 0.0f;
      if (type == DType::F32) std::memcpy(&value, data, 4);
      if (type == DType::F16) value = get_f16(data);
      if (type == DType::BF16) value = bf16_to_f32(static_cast<uint16_t>(data[0] | data[1] << 8));
      if (type == DType::Q4_0) {
        value = get_f16(data) * static_cast<float>((i < 16 ? data[2 + i] & 15 : data[2 + i - 16] >> 4) - 8);
      }
      if (type == DType::Q8_0) value = get_f16(data) * static_cast<float>(static_cast<int8_t>(data[2 + i]));
      row.weights.push_back(value);
      row.parts.push_back(std::fabs(value));
    }
  }
  return row;
}

// Tokens with everything that Inputs points to.
struct Activations {
  std::vector<float> values, scale;
  std::vector<int8_t> q;
  std::vector<int32_t> sum;
  int tokens, cols;

  Activations(int tokens_, int cols_, Random& random)
      : values(static_cast<size_t>(tokens_) * cols_),
        scale(static_cast<size_t>(tokens_) * (cols_ / 32) + 1),
        q(values.size()),
        sum(static_cast<size_t>(tokens_) * (cols_ / 16) + 2),
        tokens(tokens_),
        cols(cols_) {
    for (size_t i = 0; i < values.size(); i += 32) {  // a magnitude for each block; some are zero
      const float magnitude = random.below(8) == 0 ? 0.0f : std::exp2(static_cast<float>(random.below(40) - 20));
      for (size_t j = i; j < i + 32 && j < values.size(); ++j) values[j] = random.uniform() * magnitude;
    }
    if (cols % 32 != 0) return;
    for (int t = 0; t < tokens; ++t) {
      const size_t at = static_cast<size_t>(t) * cols;
      reference::quantize(&values[at], cols, &q[at], &scale[at / 32], &sum[at / 16]);
    }
  }
  Inputs from(int token, int count) const {
    const size_t at = static_cast<size_t>(token) * cols;
    return {&values[at], &q[at], &scale[at / 32], &sum[at / 16], count, cols};
  }
};

}  // namespace dotori::test
