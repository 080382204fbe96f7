// Types of stored numbers, with ggml's numbers and block sizes.
#pragma once

#include <cstdint>

namespace dotori {

enum class DType : uint8_t { F32 = 0, F16 = 1, Q4_0 = 2, Q8_0 = 8, Q4_K = 12, Q6_K = 14, BF16 = 30 };

struct BlockSize {
  int weights;  // in a block; 0 for a type we do not read
  int bytes;    // of a block in a GGUF file
};

constexpr BlockSize block_size(DType type) {
  switch (type) {
    case DType::F32: return {1, 4};
    case DType::F16: return {1, 2};
    case DType::BF16: return {1, 2};
    case DType::Q4_0: return {32, 18};
    case DType::Q8_0: return {32, 34};
    case DType::Q4_K: return {256, 144};
    case DType::Q6_K: return {256, 210};
  }
  return {0, 0};
}

constexpr const char* name_of(DType type) {
  switch (type) {
    case DType::F32: return "F32";
    case DType::F16: return "F16";
    case DType::BF16: return "BF16";
    case DType::Q4_0: return "Q4_0";
    case DType::Q8_0: return "Q8_0";
    case DType::Q4_K: return "Q4_K";
    case DType::Q6_K: return "Q6_K";
  }
  return "?";
}

// Bytes of `cols` weights in a GGUF file; cols is a multiple of the block.
constexpr int64_t row_bytes(DType type, int64_t cols) {
  return cols / block_size(type).weights * block_size(type).bytes;
}

}  // namespace dotori
