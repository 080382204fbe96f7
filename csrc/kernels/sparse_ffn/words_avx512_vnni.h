// Words of sparse_ffn's body beside those of simd/avx512_vnni.h; words_avx2.h and words_neon_dotprod.h have the same.
#pragma once

#include "kernels/simd/avx512_vnni.h"

namespace dotori::avx512_vnni {

// dot4_nibbles and dot4_flipped with 64 different signed bytes: x[4 lane + i].
DOTORI_INLINE N dot4_nibbles_each(N acc, B w, const int8_t* x) { return dot4_each(acc, w, x); }
DOTORI_INLINE I dot4_flipped_each(I acc, B w, const int8_t* x) { return dot4_each(acc, w, x); }

// As much of a vector as leaves registers for eight sums of it.
using Part = __m512i;
using PartSums = __m512i;
constexpr int kPartBytes = 64;
DOTORI_INLINE Part part_load(const uint8_t* at) { return b_load(at); }
DOTORI_INLINE Part part_low(Part v) { return b_low(v); }
DOTORI_INLINE Part part_high(Part v) { return b_high(v); }

// out[q]: within each 16 bytes, bytes 4q .. 4q + 3 of the four, as a0 b0 c0 d0 a1 b1 c1 d1 ...
DOTORI_INLINE void part_interleave(Part a, Part b, Part c, Part d, Part (&out)[4]) {
  const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
  out[0] = _mm512_unpacklo_epi16(ab_low, cd_low);
  out[1] = _mm512_unpackhi_epi16(ab_low, cd_low);
  out[2] = _mm512_unpacklo_epi16(ab_high, cd_high);
  out[3] = _mm512_unpackhi_epi16(ab_high, cd_high);
}

// The same of dwords: result q has dword q of a, b, c and d.
DOTORI_INLINE void part_turn(Part a, Part b, Part c, Part d, Part (&out)[4]) {
  const __m512i ab_low = _mm512_unpacklo_epi32(a, b), ab_high = _mm512_unpackhi_epi32(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi32(c, d), cd_high = _mm512_unpackhi_epi32(c, d);
  out[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
  out[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
  out[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
  out[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}

// Bytes whose low nibbles are a's and high nibbles b's, of the low nibbles of both or of the high ones.
DOTORI_INLINE Part part_join_low(Part a, Part b) { return b_or(b_low(a), _mm512_slli_epi16(b_low(b), 4)); }
DOTORI_INLINE Part part_join_high(Part a, Part b) { return b_or(b_high(a), b_and(b, 0xf0)); }
DOTORI_INLINE void part_store(uint8_t* at, Part v) { b_store(at, v); }
// Each 16 bytes, `stride` apart.
DOTORI_INLINE void part_store_sixteens(uint8_t* at, int64_t stride, Part v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm512_castsi512_si128(v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at + stride), _mm512_extracti32x4_epi32(v, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at + 2 * stride), _mm512_extracti32x4_epi32(v, 2));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at + 3 * stride), _mm512_extracti32x4_epi32(v, 3));
}

// Sums of up to eight products, dot4 of each lane with four h: of nibbles, or of bytes as dot4_flipped has them.
DOTORI_INLINE PartSums part_zero() { return _mm512_setzero_si512(); }
DOTORI_INLINE PartSums part_nibbles(PartSums acc, Part w, const int8_t* h) { return dot4(acc, w, h); }
DOTORI_INLINE PartSums part_bytes(PartSums acc, Part w, const int8_t* h) { return dot4(acc, w, h); }
DOTORI_INLINE void part_store_nibbles(int32_t* at, PartSums sums) { i_store(at, sums); }
DOTORI_INLINE void part_store_bytes(int32_t* at, PartSums sums) { i_store(at, sums); }

}  // namespace dotori::avx512_vnni
