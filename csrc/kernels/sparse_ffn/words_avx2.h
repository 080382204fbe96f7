// Words of sparse_ffn's body beside those of simd/avx2.h; their meaning is told in words_avx512_vnni.h.
#pragma once

#include "kernels/simd/avx2.h"

namespace dotori::avx2 {

DOTORI_INLINE N dot4_nibbles_each(N acc, B w, const int8_t* x) {
  return {_mm256_add_epi16(acc.a, _mm256_maddubs_epi16(w.a, load_bytes(x))),
          _mm256_add_epi16(acc.b, _mm256_maddubs_epi16(w.b, load_bytes(x + 32)))};
}
DOTORI_INLINE I dot4_flipped_each(I acc, B w, const int8_t* x) {
  const B s = b_flip(w);
  return dot4_below_128(acc, B{_mm256_abs_epi8(s.a), _mm256_abs_epi8(s.b)}, _mm256_sign_epi8(load_bytes(x), s.a),
                        _mm256_sign_epi8(load_bytes(x + 32), s.b));
}

using Part = __m256i;
using PartSums = __m256i;  // of nibbles 16 lanes of 16 bits, of bytes 8 of 32
constexpr int kPartBytes = 32;
DOTORI_INLINE Part part_load(const uint8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
DOTORI_INLINE Part part_low(Part v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
DOTORI_INLINE Part part_high(Part v) { return part_low(_mm256_srli_epi16(v, 4)); }

DOTORI_INLINE void part_interleave(Part a, Part b, Part c, Part d, Part (&out)[4]) {
  const __m256i ab_low = _mm256_unpacklo_epi8(a, b), ab_high = _mm256_unpackhi_epi8(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi8(c, d), cd_high = _mm256_unpackhi_epi8(c, d);
  out[0] = _mm256_unpacklo_epi16(ab_low, cd_low);
  out[1] = _mm256_unpackhi_epi16(ab_low, cd_low);
  out[2] = _mm256_unpacklo_epi16(ab_high, cd_high);
  out[3] = _mm256_unpackhi_epi16(ab_high, cd_high);
}

DOTORI_INLINE void part_turn(Part a, Part b, Part c, Part d, Part (&out)[4]) {
  const __m256i ab_low = _mm256_unpacklo_epi32(a, b), ab_high = _mm256_unpackhi_epi32(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi32(c, d), cd_high = _mm256_unpackhi_epi32(c, d);
  out[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
  out[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
  out[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
  out[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}

DOTORI_INLINE Part part_join_low(Part a, Part b) {
  return _mm256_or_si256(part_low(a), _mm256_slli_epi16(part_low(b), 4));
}
DOTORI_INLINE Part part_join_high(Part a, Part b) {
  return _mm256_or_si256(part_high(a), _mm256_and_si256(b, _mm256_set1_epi8(static_cast<char>(0xf0))));
}
DOTORI_INLINE void part_store(uint8_t* at, Part v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), v); }
DOTORI_INLINE void part_store_sixteens(uint8_t* at, int64_t stride, Part v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm256_castsi256_si128(v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at + stride), _mm256_extracti128_si256(v, 1));
}

DOTORI_INLINE PartSums part_zero() { return _mm256_setzero_si256(); }
// Eight of them stay within 16 bits: 8 * 2 * 15 * 127 = 30480.
DOTORI_INLINE PartSums part_nibbles(PartSums acc, Part w, const int8_t* h) {
  return _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, four_bytes(h)));
}
// 2 * 128 * 127 = 32512 stays within 16 bits.
DOTORI_INLINE PartSums part_bytes(PartSums acc, Part w, const int8_t* h) {
  const __m256i s = _mm256_xor_si256(w, _mm256_set1_epi8(static_cast<char>(0x80)));
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(s), _mm256_sign_epi8(four_bytes(h), s));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
DOTORI_INLINE void part_store_bytes(int32_t* at, PartSums sums) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), sums);
}
DOTORI_INLINE void part_store_nibbles(int32_t* at, PartSums sums) {
  part_store_bytes(at, _mm256_madd_epi16(sums, _mm256_set1_epi16(1)));
}

}  // namespace dotori::avx2
