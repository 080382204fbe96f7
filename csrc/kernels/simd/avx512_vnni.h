// The vector words that kernel bodies are written in, for AVX-512 with VNNI.
//
// Each instruction set has such a header with the same names: F (16 float32 lanes), I (16 int32 lanes), B (64 bytes).
// It is included once by each <op>/<isa>.cc, in front of the op's body.h, inside that instruction set's namespace, so
// that code compiled with wider flags never meets the linker under a shared name.
#pragma once

// GCC 12 warns of its own _mm512_undefined_*() in nearly every intrinsic (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define DOTORI_INLINE static inline __attribute__((always_inline))

namespace dotori::avx512_vnni {

using F = __m512;
using I = __m512i;
using B = __m512i;

DOTORI_INLINE F f_zero() { return _mm512_setzero_ps(); }
DOTORI_INLINE F f_all(float value) { return _mm512_set1_ps(value); }
DOTORI_INLINE F f_load(const float* at) { return _mm512_loadu_ps(at); }
DOTORI_INLINE void f_store(float* at, F v) { _mm512_storeu_ps(at, v); }
DOTORI_INLINE F f_add(F a, F b) { return _mm512_add_ps(a, b); }
DOTORI_INLINE F f_sub(F a, F b) { return _mm512_sub_ps(a, b); }
DOTORI_INLINE F f_mul(F a, F b) { return _mm512_mul_ps(a, b); }
DOTORI_INLINE F f_div(F a, F b) { return _mm512_div_ps(a, b); }
DOTORI_INLINE F f_fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }  // a b + c
DOTORI_INLINE F f_max(F a, F b) { return _mm512_max_ps(a, b); }
DOTORI_INLINE F f_min(F a, F b) { return _mm512_min_ps(a, b); }
DOTORI_INLINE F f_abs(F a) { return _mm512_abs_ps(a); }
DOTORI_INLINE F f_round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
DOTORI_INLINE F f_scale_by_power(F a, F n) { return _mm512_scalef_ps(a, n); }  // a 2^n, n whole, |n| <= 126
DOTORI_INLINE float f_sum(F a) { return _mm512_reduce_add_ps(a); }
DOTORI_INLINE float f_largest(F a) { return _mm512_reduce_max_ps(a); }

// 16 float16 or bfloat16 numbers.
DOTORI_INLINE F f_load_f16(const uint16_t* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}
DOTORI_INLINE void f_store_f16(uint16_t* at, F v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
DOTORI_INLINE F f_load_bf16(const uint16_t* at) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

DOTORI_INLINE I i_zero() { return _mm512_setzero_si512(); }
DOTORI_INLINE I i_all(int32_t value) { return _mm512_set1_epi32(value); }
DOTORI_INLINE I i_load(const int32_t* at) { return _mm512_loadu_si512(at); }
DOTORI_INLINE void i_store(int32_t* at, I v) { _mm512_storeu_si512(at, v); }
DOTORI_INLINE I i_add(I a, I b) { return _mm512_add_epi32(a, b); }
DOTORI_INLINE I i_mul(I a, I b) { return _mm512_mullo_epi32(a, b); }
DOTORI_INLINE I i_load_u8(const uint8_t* at) {  // 16 bytes widened
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}
DOTORI_INLINE I i_load_i8(const int8_t* at) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}
DOTORI_INLINE F f_of(I a) { return _mm512_cvtepi32_ps(a); }
DOTORI_INLINE I i_of(F a) { return _mm512_cvtps_epi32(a); }  // rounds to nearest even
DOTORI_INLINE void i_store_i8(int8_t* at, I a) {             // lanes within -128..127
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm512_cvtepi32_epi8(a));
}
DOTORI_INLINE int32_t i_sum(I a) { return _mm512_reduce_add_epi32(a); }

DOTORI_INLINE B b_load(const uint8_t* at) { return _mm512_loadu_si512(at); }
DOTORI_INLINE void b_store(uint8_t* at, B v) { _mm512_storeu_si512(at, v); }
DOTORI_INLINE B b_and(B a, uint8_t mask) { return _mm512_and_si512(a, _mm512_set1_epi8(static_cast<char>(mask))); }
DOTORI_INLINE B b_or(B a, B b) { return _mm512_or_si512(a, b); }
DOTORI_INLINE B b_low(B a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); }                          // low nibbles
DOTORI_INLINE B b_high(B a) { return _mm512_and_si512(_mm512_srli_epi16(a, 4), _mm512_set1_epi8(15)); }  // high ones
DOTORI_INLINE B b_flip(B a) {  // each byte's highest bit turned: u8 to i8 - 128 and back
  return _mm512_xor_si512(a, _mm512_set1_epi8(static_cast<char>(0x80)));
}
// The two highest bits of three bytes side by side: a's lowest, then b's, then c's.
DOTORI_INLINE B b_top_bits(B a, B b, B c) {
  constexpr int kChoose = 0xca;  // by the first operand's bits: the second or the third
  const __m512i ab = _mm512_ternarylogic_epi32(_mm512_set1_epi8(0x03), _mm512_srli_epi16(a, 6),
                                               _mm512_srli_epi16(b, 4), kChoose);
  const __m512i abc = _mm512_ternarylogic_epi32(_mm512_set1_epi8(0x0f), ab, _mm512_srli_epi16(c, 2), kChoose);
  return b_and(abc, 63);
}

// acc[lane] += sum over four bytes of w[4 lane + i] * x[i]: w unsigned, x four signed bytes shared by all lanes.
// dot4 takes any w; dot4_small takes w <= 63, which some instruction sets do faster.
DOTORI_INLINE I dot4(I acc, B w, const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof four);
  return _mm512_dpbusd_epi32(acc, w, _mm512_set1_epi32(four));
}
DOTORI_INLINE I dot4_small(I acc, B w, const int8_t* x) { return dot4(acc, w, x); }
// The same with 64 different signed bytes: x[4 lane + i].
DOTORI_INLINE I dot4_each(I acc, B w, const int8_t* x) { return _mm512_dpbusd_epi32(acc, w, _mm512_loadu_si512(x)); }
DOTORI_INLINE I dot4_small_each(I acc, B w, const int8_t* x) { return dot4_each(acc, w, x); }

// Bytes that stand for w - 128. Where kDotIsSigned, dot4_flipped(acc, w, x) adds (w - 128) x; elsewhere it adds w x and
// its caller takes 128 sum(x) out. x is within -127..127.
constexpr bool kDotIsSigned = false;
DOTORI_INLINE I dot4_flipped(I acc, B w, const int8_t* x) { return dot4(acc, w, x); }

// A sum of up to 32 products with nibbles (w <= 15), that is of 8 calls of dot4_nibbles, from `start` on, which begin
// and end are both told.
using N = I;
DOTORI_INLINE N nibbles_begin(int32_t start) { return i_all(start); }
DOTORI_INLINE N dot4_nibbles(N acc, B w, const int8_t* x) { return dot4_small(acc, w, x); }
DOTORI_INLINE I nibbles_end(N acc, int32_t) { return acc; }

DOTORI_INLINE void prefetch(const void* at) { _mm_prefetch(static_cast<const char*>(at), _MM_HINT_T0); }

}  // namespace dotori::avx512_vnni
