// The vector words that kernel bodies are written in, for AVX2 with FMA and F16C.
//
// The names and meanings are those of avx512_vnni.h: F (16 float32 lanes), I (16 int32 lanes), B (64 bytes), here each
// a pair of 32-byte registers. It is included once by each <op>/<isa>.cc, in front of the op's body.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define DOTORI_INLINE static inline __attribute__((always_inline))

namespace dotori::avx2 {

struct F {
  __m256 a, b;  // lanes 0..7 and 8..15
};
struct I {
  __m256i a, b;
};
struct B {
  __m256i a, b;  // bytes 0..31 and 32..63
};

DOTORI_INLINE F f_zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
DOTORI_INLINE F f_all(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
DOTORI_INLINE F f_load(const float* at) { return {_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8)}; }
DOTORI_INLINE void f_store(float* at, F v) {
  _mm256_storeu_ps(at, v.a);
  _mm256_storeu_ps(at + 8, v.b);
}
DOTORI_INLINE F f_add(F a, F b) { return {_mm256_add_ps(a.a, b.a), _mm256_add_ps(a.b, b.b)}; }
DOTORI_INLINE F f_sub(F a, F b) { return {_mm256_sub_ps(a.a, b.a), _mm256_sub_ps(a.b, b.b)}; }
DOTORI_INLINE F f_mul(F a, F b) { return {_mm256_mul_ps(a.a, b.a), _mm256_mul_ps(a.b, b.b)}; }
DOTORI_INLINE F f_div(F a, F b) { return {_mm256_div_ps(a.a, b.a), _mm256_div_ps(a.b, b.b)}; }
DOTORI_INLINE F f_fma(F a, F b, F c) {  // a b + c
  return {_mm256_fmadd_ps(a.a, b.a, c.a), _mm256_fmadd_ps(a.b, b.b, c.b)};
}
DOTORI_INLINE F f_max(F a, F b) { return {_mm256_max_ps(a.a, b.a), _mm256_max_ps(a.b, b.b)}; }
DOTORI_INLINE F f_min(F a, F b) { return {_mm256_min_ps(a.a, b.a), _mm256_min_ps(a.b, b.b)}; }
DOTORI_INLINE F f_abs(F v) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(v.a, magnitude), _mm256_and_ps(v.b, magnitude)};
}
DOTORI_INLINE F f_round(F v) {
  return {_mm256_round_ps(v.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(v.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
DOTORI_INLINE __m256 power_of_two(__m256 n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
DOTORI_INLINE F f_scale_by_power(F v, F n) {  // v 2^n, n whole, |n| <= 126
  return {_mm256_mul_ps(v.a, power_of_two(n.a)), _mm256_mul_ps(v.b, power_of_two(n.b))};
}
// The 16 lanes are folded in halves, in the order of the other instruction sets.
DOTORI_INLINE float f_sum(F v) {
  const __m256 eight = _mm256_add_ps(v.a, v.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
DOTORI_INLINE float f_largest(F v) {
  const __m256 eight = _mm256_max_ps(v.a, v.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// 16 float16 or bfloat16 numbers.
DOTORI_INLINE F f_load_f16(const uint16_t* at) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 8)))};
}
DOTORI_INLINE void f_store_f16(uint16_t* at, F v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at + 8), _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT));
}
DOTORI_INLINE F f_load_bf16(const uint16_t* at) {
  const __m256i low = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  const __m256i high = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 8)));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))};
}

DOTORI_INLINE I i_zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
DOTORI_INLINE I i_all(int32_t value) { return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
DOTORI_INLINE I i_load(const int32_t* at) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 8))};
}
DOTORI_INLINE void i_store(int32_t* at, I v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), v.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + 8), v.b);
}
DOTORI_INLINE I i_add(I a, I b) { return {_mm256_add_epi32(a.a, b.a), _mm256_add_epi32(a.b, b.b)}; }
DOTORI_INLINE I i_mul(I a, I b) { return {_mm256_mullo_epi32(a.a, b.a), _mm256_mullo_epi32(a.b, b.b)}; }
DOTORI_INLINE I i_load_u8(const uint8_t* at) {  // 16 bytes widened
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
DOTORI_INLINE I i_load_i8(const int8_t* at) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
DOTORI_INLINE F f_of(I v) { return {_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }
DOTORI_INLINE I i_of(F v) { return {_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b)}; }  // rounds to nearest even
DOTORI_INLINE void i_store_i8(int8_t* at, I v) {                                           // lanes within -128..127
  const __m128i low = _mm_packs_epi32(_mm256_castsi256_si128(v.a), _mm256_extracti128_si256(v.a, 1));
  const __m128i high = _mm_packs_epi32(_mm256_castsi256_si128(v.b), _mm256_extracti128_si256(v.b, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm_packs_epi16(low, high));
}
DOTORI_INLINE int32_t i_sum(I v) {
  const __m256i eight = _mm256_add_epi32(v.a, v.b);
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

DOTORI_INLINE B b_load(const uint8_t* at) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32))};
}
DOTORI_INLINE void b_store(uint8_t* at, B v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), v.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + 32), v.b);
}
DOTORI_INLINE B b_and(B v, uint8_t mask) {
  const __m256i bits = _mm256_set1_epi8(static_cast<char>(mask));
  return {_mm256_and_si256(v.a, bits), _mm256_and_si256(v.b, bits)};
}
DOTORI_INLINE B b_or(B a, B b) { return {_mm256_or_si256(a.a, b.a), _mm256_or_si256(a.b, b.b)}; }
DOTORI_INLINE B b_low(B v) { return b_and(v, 15); }  // low nibbles
DOTORI_INLINE B b_high(B v) { return b_and(B{_mm256_srli_epi16(v.a, 4), _mm256_srli_epi16(v.b, 4)}, 15); }
DOTORI_INLINE B b_flip(B v) {  // each byte's highest bit turned: u8 to i8 - 128 and back
  const __m256i bits = _mm256_set1_epi8(static_cast<char>(0x80));
  return {_mm256_xor_si256(v.a, bits), _mm256_xor_si256(v.b, bits)};
}
// The two highest bits of three bytes side by side: a's lowest, then b's, then c's.
DOTORI_INLINE __m256i top_bits(__m256i a, __m256i b, __m256i c) {
  const __m256i low = _mm256_and_si256(_mm256_srli_epi16(a, 6), _mm256_set1_epi8(0x03));
  const __m256i middle = _mm256_and_si256(_mm256_srli_epi16(b, 4), _mm256_set1_epi8(0x0c));
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(c, 2), _mm256_set1_epi8(0x30));
  return _mm256_or_si256(_mm256_or_si256(low, middle), high);
}
DOTORI_INLINE B b_top_bits(B a, B b, B c) { return {top_bits(a.a, b.a, c.a), top_bits(a.b, b.b, c.b)}; }

// Nothing, but the compiler may not take a sum apart here: GCC otherwise regroups integer sums into trees, which need
// far more registers than there are.
DOTORI_INLINE void keep_order(__m256i& a, __m256i& b) {
#if defined(__GNUC__) && !defined(__clang__)
  asm("" : "+x"(a), "+x"(b));
#else
  (void)a, (void)b;
#endif
}
// Pairs of 16-bit numbers times `factor`, added to 32-bit lanes.
DOTORI_INLINE I add_pairs(I acc, __m256i a, __m256i b, int16_t factor) {
  const __m256i factors = _mm256_set1_epi16(factor);
  acc = {_mm256_add_epi32(acc.a, _mm256_madd_epi16(a, factors)),
         _mm256_add_epi32(acc.b, _mm256_madd_epi16(b, factors))};
  keep_order(acc.a, acc.b);
  return acc;
}
// maddubs adds two products within 16 bits: exact up to w = 127, since 2 * 127 * 128 = 32512.
DOTORI_INLINE I dot4_below_128(I acc, B w, __m256i x_a, __m256i x_b) {
  return add_pairs(acc, _mm256_maddubs_epi16(w.a, x_a), _mm256_maddubs_epi16(w.b, x_b), 1);
}
// Any w: the low seven bits and the highest bit apart.
DOTORI_INLINE I dot4_any(I acc, B w, __m256i x_a, __m256i x_b) {
  const __m256i one = _mm256_set1_epi8(1);
  const __m256i top_a = _mm256_and_si256(_mm256_srli_epi16(w.a, 7), one);
  const __m256i top_b = _mm256_and_si256(_mm256_srli_epi16(w.b, 7), one);
  acc = dot4_below_128(acc, b_and(w, 127), x_a, x_b);
  return add_pairs(acc, _mm256_maddubs_epi16(top_a, x_a), _mm256_maddubs_epi16(top_b, x_b), 128);
}
DOTORI_INLINE __m256i four_bytes(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}
DOTORI_INLINE __m256i load_bytes(const int8_t* x) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
}

// acc[lane] += sum over four bytes of w[4 lane + i] * x[i]: w unsigned, x four signed bytes shared by all lanes.
// dot4 takes any w; dot4_small takes w <= 63, which some instruction sets do faster.
DOTORI_INLINE I dot4(I acc, B w, const int8_t* x) {
  const __m256i four = four_bytes(x);
  return dot4_any(acc, w, four, four);
}
DOTORI_INLINE I dot4_small(I acc, B w, const int8_t* x) {
  const __m256i four = four_bytes(x);
  return dot4_below_128(acc, w, four, four);
}
// The same with 64 different signed bytes: x[4 lane + i].
DOTORI_INLINE I dot4_each(I acc, B w, const int8_t* x) { return dot4_any(acc, w, load_bytes(x), load_bytes(x + 32)); }
DOTORI_INLINE I dot4_small_each(I acc, B w, const int8_t* x) {
  return dot4_below_128(acc, w, load_bytes(x), load_bytes(x + 32));
}

// Bytes that stand for w - 128. Where kDotIsSigned, dot4_flipped(acc, w, x) adds (w - 128) x; elsewhere it adds w x and
// its caller takes 128 sum(x) out. x is within -127..127.
constexpr bool kDotIsSigned = true;
DOTORI_INLINE I dot4_flipped(I acc, B w, const int8_t* x) {
  const B s = b_flip(w);
  const __m256i four = four_bytes(x);
  // |s| <= 128 as the unsigned side: 2 * 128 * 127 = 32512 stays within 16 bits.
  return dot4_below_128(acc, B{_mm256_abs_epi8(s.a), _mm256_abs_epi8(s.b)}, _mm256_sign_epi8(four, s.a),
                        _mm256_sign_epi8(four, s.b));
}

// A sum of up to 32 products with nibbles (w <= 15), that is of 8 calls of dot4_nibbles, from `start` on, which begin
// and end are both told. It stays within 16 bits: 8 * 2 * 15 * 128 = 30720.
struct N {
  __m256i a, b;
};
DOTORI_INLINE N nibbles_begin(int32_t) { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
DOTORI_INLINE N dot4_nibbles(N acc, B w, const int8_t* x) {
  const __m256i four = four_bytes(x);
  acc = {_mm256_add_epi16(acc.a, _mm256_maddubs_epi16(w.a, four)),
         _mm256_add_epi16(acc.b, _mm256_maddubs_epi16(w.b, four))};
  keep_order(acc.a, acc.b);
  return acc;
}
DOTORI_INLINE I nibbles_end(N acc, int32_t start) { return add_pairs(i_all(start), acc.a, acc.b, 1); }

DOTORI_INLINE void prefetch(const void* at) { _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T0); }

}  // namespace dotori::avx2
