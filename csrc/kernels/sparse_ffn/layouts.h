// The bytes of a sparse expert's neurons, which hold `up` and `down`. All numbers are little-endian; a "vector" is 64
// bytes.
//
// Split row (up): one row of D columns, so that a neuron that is off costs nothing. A lane is a block of 32 columns;
// the lanes are a row's blocks, rounded up to a multiple of 8. A vector carries the same four bytes of 16 blocks, so a
// product's lane has one scale and scales are multiplied in 16 at a time, once for 512 columns.
//
//     | 16 blocks: vectors 0..3 (Q4_0) or 0..7 (Q8_0) | ... | 8 blocks: as many half vectors | f16 d of every block |
//       256 or 512 bytes                                      absent when lanes % 16 == 0       32 for each 16 lanes
//
//     byte c of lane b in vector j:   Q4_0  byte 4j + c of the file's block b: column 4j + c low, 16 + 4j + c high
//                                     Q8_0  column 4j + c with its highest bit turned, which makes it unsigned
//
// Absent blocks are zero, and so are their scales. The last half vector may be loaded whole: the scales follow it.
// D = 1536: 864 bytes for Q4_0, 1632 for Q8_0.
//
// Neuron group: 32 neurons, whose D scales of down are common: a block of the file holds one dimension of 32 neurons.
//
//     | neuron 0: down's vectors 0, 1, ...      | its split row of up | neuron 1 | ... | neuron 31 | D x f16 d |
//       128 dimensions each (Q4_0) or 64 (Q8_0)                                                  2 D bytes
//
// A neuron's up and down lie together because memory delivers longer pieces faster, and one is never read alone.
//
// A vector of Q4_0 holds dimensions 128v .. 128v + 63 in the low nibbles and the next 64 in the high ones (zero where D
// ends between); a vector of Q8_0 64 dimensions, highest bits turned. Of 64 dimensions, byte 16k + 4q + i is dimension
// 16q + 4k + i: when the bytes of four neurons are interleaved within 16-byte parts, as every instruction set can,
// result q has dimensions 16q .. 16q + 15 in its 16 lanes, each lane four neurons.
//
//     weight = d * (nibble - 8)   or   d * (byte - 128)
#pragma once

#include <cstdint>

#include "platform/dtype.h"

namespace dotori {

constexpr int kGroupNeurons = 32;

// Internal linkage: files compiled with wide instruction sets use these too.
static constexpr int64_t split_lanes(int64_t cols) { return (cols / 32 + 7) / 8 * 8; }
static constexpr int64_t lane_bytes(DType type) { return type == DType::Q4_0 ? 16 : 32; }
static constexpr int64_t split_scales_at(DType type, int64_t cols) { return split_lanes(cols) * lane_bytes(type); }
// From a vector to the next one of the 16 lanes that begin at `lane`.
static constexpr int64_t split_stride(int64_t lanes, int64_t lane) { return lanes - lane >= 16 ? 64 : 32; }

static constexpr int64_t neuron_bytes(DType type, int64_t hidden_size) {
  return type == DType::Q4_0 ? (hidden_size + 127) / 128 * 64 : hidden_size;
}
static constexpr int64_t split_bytes(DType type, int64_t cols) {
  return split_scales_at(type, cols) + (split_lanes(cols) + 15) / 16 * 32;
}
// From a neuron of a group to the next.
static constexpr int64_t neuron_stride(DType type, int64_t hidden_size) {
  return neuron_bytes(type, hidden_size) + split_bytes(type, hidden_size);
}
static constexpr int64_t group_scales_at(DType type, int64_t hidden_size) {
  return kGroupNeurons * neuron_stride(type, hidden_size);
}
static constexpr int64_t group_bytes(DType type, int64_t hidden_size) {
  return group_scales_at(type, hidden_size) + 2 * hidden_size;
}
// Where a neuron's split row is, from the expert's first group on.
static constexpr int64_t split_row_at(DType type, int64_t hidden_size, int64_t neuron) {
  return neuron / kGroupNeurons * group_bytes(type, hidden_size) +
         neuron % kGroupNeurons * neuron_stride(type, hidden_size) + neuron_bytes(type, hidden_size);
}
// The place of a dimension (0..63) within 64 bytes.
static constexpr int64_t dimension_byte(int64_t dimension) {
  return dimension % 16 / 4 * 16 + dimension / 16 * 4 + dimension % 4;
}

}  // namespace dotori
