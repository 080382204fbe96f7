// The bytes of a panel: 16 rows (r), K columns. All numbers are little-endian.
//
// A "vector" is 64 bytes: 16 lanes of 4 bytes, lane r belongs to row r. "16 x f16" is one number for each row.
//
// F32, F16, BF16: column by column, the 16 rows of a column together; any K.
//
//     | column 0: r0 r1 ... r15 | column 1: r0 r1 ... r15 | ...
//
// Q4_0, Q8_0, Q6_K: blocks in pairs, so that two lots of 16 scales make up one 64-byte line and every vector stays
// aligned. When the number of blocks is odd, the last pair lacks its second body and its second scales are zero.
//
//     | 16 x f16 d of block 2i | 16 x f16 d of block 2i+1 | body of block 2i | body of block 2i+1 |
//       32 bytes                 32
//
// Q4_0 body, 32 columns, 256 bytes: vectors 0..3. Byte c of lane r in vector j holds column 4j + c in its low nibble
// and column 16 + 4j + c in its high one. weight = d * (nibble - 8).
//
//     byte of row r:     file  | c0|c16  c1|c17 ... c15|c31 |     vector j, lane r = the file's bytes 4j .. 4j + 3
//
// Q8_0 body, 32 columns, 512 bytes: vectors 0..7. Byte c of lane r in vector j is column 4j + c with its highest bit
// turned, which makes it unsigned. weight = d * (byte - 128).
//
// Q6_K body, 256 columns, 3328 bytes: scales, then two halves of 128 columns.
//
//     | 16 groups x (16 x i8 scale) | half 0: three quarters of 8 vectors | half 1: the same |
//       256 bytes                     1536
//
// Column c of a half lies in quarter k = c / 32 at l = c % 32. The first three quarters have vectors of their own: byte
// l % 4 of vector 8k + l / 4 is column c in its low six bits. Its two high bits are from the last quarter: the bits 2k
// and 2k + 1 of column 96 + l. So most weights come out by one instruction, and in the order in which they lie.
//
//     byte l of   quarter 0:  | 96+l: bits 1 0 | l: bits 5 .. 0    |
//                 quarter 1:  | 96+l: bits 3 2 | 32+l: bits 5 .. 0 |
//                 quarter 2:  | 96+l: bits 5 4 | 64+l: bits 5 .. 0 |
//
// weight = d * scale[column / 16] * (six bits - 32).
//
// Q4_K, 256 columns, 2368 bytes; blocks follow one another. Eight groups of 32 columns, whose six-bit scales and minima
// are widened to bytes.
//
//     | 16 x f16 d | 16 x f16 dmin | 8 groups x (16 x u8 scale) | 8 groups x (16 x u8 minimum) | vectors 0..31 |
//       32           32              128                          128                            2048
//
// Columns 64i .. 64i + 63 are vectors 8i .. 8i + 7: byte c of vector 8i + j holds column 64i + 4j + c in its low nibble
// and column 64i + 32 + 4j + c in its high one. weight = d * scale * nibble - dmin * minimum.
#pragma once

#include <cstdint>

#include "platform/dtype.h"

namespace dotori {

constexpr int kVectorBytes = 64;
constexpr int kScaleBytes = 32;  // 16 x f16

constexpr int kQ4_0Body = 4 * kVectorBytes;
constexpr int kQ8_0Body = 8 * kVectorBytes;
constexpr int kQ6_KScales = 256;
constexpr int kQ6_KQuarter = 8 * kVectorBytes;
constexpr int kQ6_KHalf = 3 * kQ6_KQuarter;
constexpr int kQ6_KBody = kQ6_KScales + 2 * kQ6_KHalf;
constexpr int kQ4_KScales = 2 * kScaleBytes;
constexpr int kQ4_KMinima = kQ4_KScales + 128;
constexpr int kQ4_KNibbles = kQ4_KMinima + 128;
constexpr int kQ4_KBlock = kQ4_KNibbles + 32 * kVectorBytes;

// Offsets into a panel of paired blocks. Internal linkage: files compiled with wide instruction sets use them too.
static constexpr int64_t scales_at(int64_t block, int body_bytes) {
  return block / 2 * (2 * kScaleBytes + 2 * body_bytes) + block % 2 * kScaleBytes;
}
static constexpr int64_t body_at(int64_t block, int body_bytes) {
  return block / 2 * (2 * kScaleBytes + 2 * body_bytes) + 2 * kScaleBytes + block % 2 * body_bytes;
}
static constexpr int64_t paired_bytes(int64_t blocks, int body_bytes) {
  return (blocks + 1) / 2 * (2 * kScaleBytes) + blocks * body_bytes;
}

}  // namespace dotori
