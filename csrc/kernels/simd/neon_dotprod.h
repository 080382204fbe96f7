// The vector words that kernel bodies are written in, for 64-bit ARM with the dot product extension.
//
// The names and meanings are those of avx512_vnni.h: F (16 float32 lanes), I (16 int32 lanes), B (64 bytes), here each
// four 16-byte registers. It is included once by each <op>/<isa>.cc, in front of the op's body.h.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#define DOTORI_INLINE static inline __attribute__((always_inline))

namespace dotori::neon_dotprod {

struct F {
  float32x4_t a, b, c, d;  // lanes 0..3, 4..7, 8..11, 12..15
};
struct I {
  int32x4_t a, b, c, d;
};
struct B {
  uint8x16_t a, b, c, d;
};

DOTORI_INLINE F f_all(float value) {
  const float32x4_t v = vdupq_n_f32(value);
  return {v, v, v, v};
}
DOTORI_INLINE F f_zero() { return f_all(0.0f); }
DOTORI_INLINE F f_load(const float* at) {
  return {vld1q_f32(at), vld1q_f32(at + 4), vld1q_f32(at + 8), vld1q_f32(at + 12)};
}
DOTORI_INLINE void f_store(float* at, F v) {
  vst1q_f32(at, v.a);
  vst1q_f32(at + 4, v.b);
  vst1q_f32(at + 8, v.c);
  vst1q_f32(at + 12, v.d);
}
DOTORI_INLINE F f_add(F a, F b) {
  return {vaddq_f32(a.a, b.a), vaddq_f32(a.b, b.b), vaddq_f32(a.c, b.c), vaddq_f32(a.d, b.d)};
}
DOTORI_INLINE F f_sub(F a, F b) {
  return {vsubq_f32(a.a, b.a), vsubq_f32(a.b, b.b), vsubq_f32(a.c, b.c), vsubq_f32(a.d, b.d)};
}
DOTORI_INLINE F f_mul(F a, F b) {
  return {vmulq_f32(a.a, b.a), vmulq_f32(a.b, b.b), vmulq_f32(a.c, b.c), vmulq_f32(a.d, b.d)};
}
DOTORI_INLINE F f_div(F a, F b) {
  return {vdivq_f32(a.a, b.a), vdivq_f32(a.b, b.b), vdivq_f32(a.c, b.c), vdivq_f32(a.d, b.d)};
}
DOTORI_INLINE F f_fma(F a, F b, F c) {  // a b + c
  return {vfmaq_f32(c.a, a.a, b.a), vfmaq_f32(c.b, a.b, b.b), vfmaq_f32(c.c, a.c, b.c), vfmaq_f32(c.d, a.d, b.d)};
}
DOTORI_INLINE F f_max(F a, F b) {
  return {vmaxq_f32(a.a, b.a), vmaxq_f32(a.b, b.b), vmaxq_f32(a.c, b.c), vmaxq_f32(a.d, b.d)};
}
DOTORI_INLINE F f_min(F a, F b) {
  return {vminq_f32(a.a, b.a), vminq_f32(a.b, b.b), vminq_f32(a.c, b.c), vminq_f32(a.d, b.d)};
}
DOTORI_INLINE F f_abs(F v) { return {vabsq_f32(v.a), vabsq_f32(v.b), vabsq_f32(v.c), vabsq_f32(v.d)}; }
DOTORI_INLINE F f_round(F v) { return {vrndnq_f32(v.a), vrndnq_f32(v.b), vrndnq_f32(v.c), vrndnq_f32(v.d)}; }
DOTORI_INLINE float32x4_t power_of_two(float32x4_t n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23));
}
DOTORI_INLINE F f_scale_by_power(F v, F n) {  // v 2^n, n whole, |n| <= 126
  return f_mul(v, F{power_of_two(n.a), power_of_two(n.b), power_of_two(n.c), power_of_two(n.d)});
}
// The 16 lanes are folded in halves, in the order of the other instruction sets.
DOTORI_INLINE float f_sum(F v) {
  const float32x4_t four = vaddq_f32(vaddq_f32(v.a, v.c), vaddq_f32(v.b, v.d));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
DOTORI_INLINE float f_largest(F v) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(v.a, v.c), vmaxq_f32(v.b, v.d))); }

// 16 float16 or bfloat16 numbers.
DOTORI_INLINE float32x4_t widen_f16(uint16x4_t v) { return vcvt_f32_f16(vreinterpret_f16_u16(v)); }
DOTORI_INLINE uint16x4_t narrow_f16(float32x4_t v) { return vreinterpret_u16_f16(vcvt_f16_f32(v)); }
DOTORI_INLINE float32x4_t widen_bf16(uint16x4_t v) { return vreinterpretq_f32_u32(vshll_n_u16(v, 16)); }
DOTORI_INLINE F f_load_f16(const uint16_t* at) {
  return {widen_f16(vld1_u16(at)), widen_f16(vld1_u16(at + 4)), widen_f16(vld1_u16(at + 8)),
          widen_f16(vld1_u16(at + 12))};
}
DOTORI_INLINE void f_store_f16(uint16_t* at, F v) {
  vst1_u16(at, narrow_f16(v.a));
  vst1_u16(at + 4, narrow_f16(v.b));
  vst1_u16(at + 8, narrow_f16(v.c));
  vst1_u16(at + 12, narrow_f16(v.d));
}
DOTORI_INLINE F f_load_bf16(const uint16_t* at) {
  return {widen_bf16(vld1_u16(at)), widen_bf16(vld1_u16(at + 4)), widen_bf16(vld1_u16(at + 8)),
          widen_bf16(vld1_u16(at + 12))};
}

DOTORI_INLINE I i_all(int32_t value) {
  const int32x4_t v = vdupq_n_s32(value);
  return {v, v, v, v};
}
DOTORI_INLINE I i_zero() { return i_all(0); }
DOTORI_INLINE I i_load(const int32_t* at) {
  return {vld1q_s32(at), vld1q_s32(at + 4), vld1q_s32(at + 8), vld1q_s32(at + 12)};
}
DOTORI_INLINE void i_store(int32_t* at, I v) {
  vst1q_s32(at, v.a);
  vst1q_s32(at + 4, v.b);
  vst1q_s32(at + 8, v.c);
  vst1q_s32(at + 12, v.d);
}
DOTORI_INLINE I i_add(I a, I b) {
  return {vaddq_s32(a.a, b.a), vaddq_s32(a.b, b.b), vaddq_s32(a.c, b.c), vaddq_s32(a.d, b.d)};
}
DOTORI_INLINE I i_mul(I a, I b) {
  return {vmulq_s32(a.a, b.a), vmulq_s32(a.b, b.b), vmulq_s32(a.c, b.c), vmulq_s32(a.d, b.d)};
}
DOTORI_INLINE I widen_s16(int16x8_t low, int16x8_t high) {
  return {vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)), vmovl_s16(vget_low_s16(high)),
          vmovl_s16(vget_high_s16(high))};
}
DOTORI_INLINE I i_load_u8(const uint8_t* at) {  // 16 bytes widened
  const uint8x16_t bytes = vld1q_u8(at);
  return widen_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes))),
                   vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(bytes))));
}
DOTORI_INLINE I i_load_i8(const int8_t* at) {
  const int8x16_t bytes = vld1q_s8(at);
  return widen_s16(vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes)));
}
DOTORI_INLINE F f_of(I v) { return {vcvtq_f32_s32(v.a), vcvtq_f32_s32(v.b), vcvtq_f32_s32(v.c), vcvtq_f32_s32(v.d)}; }
DOTORI_INLINE I i_of(F v) {  // rounds to nearest even
  return {vcvtnq_s32_f32(v.a), vcvtnq_s32_f32(v.b), vcvtnq_s32_f32(v.c), vcvtnq_s32_f32(v.d)};
}
DOTORI_INLINE void i_store_i8(int8_t* at, I v) {  // lanes within -128..127
  const int16x8_t low = vcombine_s16(vmovn_s32(v.a), vmovn_s32(v.b));
  const int16x8_t high = vcombine_s16(vmovn_s32(v.c), vmovn_s32(v.d));
  vst1q_s8(at, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}
DOTORI_INLINE int32_t i_sum(I v) { return vaddvq_s32(vaddq_s32(vaddq_s32(v.a, v.c), vaddq_s32(v.b, v.d))); }

DOTORI_INLINE B b_load(const uint8_t* at) {
  return {vld1q_u8(at), vld1q_u8(at + 16), vld1q_u8(at + 32), vld1q_u8(at + 48)};
}
DOTORI_INLINE void b_store(uint8_t* at, B v) {
  vst1q_u8(at, v.a);
  vst1q_u8(at + 16, v.b);
  vst1q_u8(at + 32, v.c);
  vst1q_u8(at + 48, v.d);
}
DOTORI_INLINE B b_and(B v, uint8_t mask) {
  const uint8x16_t bits = vdupq_n_u8(mask);
  return {vandq_u8(v.a, bits), vandq_u8(v.b, bits), vandq_u8(v.c, bits), vandq_u8(v.d, bits)};
}
DOTORI_INLINE B b_or(B a, B b) {
  return {vorrq_u8(a.a, b.a), vorrq_u8(a.b, b.b), vorrq_u8(a.c, b.c), vorrq_u8(a.d, b.d)};
}
DOTORI_INLINE B b_low(B v) { return b_and(v, 15); }  // low nibbles
DOTORI_INLINE B b_high(B v) { return {vshrq_n_u8(v.a, 4), vshrq_n_u8(v.b, 4), vshrq_n_u8(v.c, 4), vshrq_n_u8(v.d, 4)}; }
DOTORI_INLINE B b_flip(B v) {  // each byte's highest bit turned: u8 to i8 - 128 and back
  const uint8x16_t bits = vdupq_n_u8(0x80);
  return {veorq_u8(v.a, bits), veorq_u8(v.b, bits), veorq_u8(v.c, bits), veorq_u8(v.d, bits)};
}
// The two highest bits of three bytes side by side: a's lowest, then b's, then c's.
DOTORI_INLINE uint8x16_t top_bits(uint8x16_t a, uint8x16_t b, uint8x16_t c) {
  return vshrq_n_u8(vsriq_n_u8(c, vsriq_n_u8(b, a, 2), 2), 2);  // each pushes the ones before it down by two
}
DOTORI_INLINE B b_top_bits(B a, B b, B c) {
  return {top_bits(a.a, b.a, c.a), top_bits(a.b, b.b, c.b), top_bits(a.c, b.c, c.c), top_bits(a.d, b.d, c.d)};
}

// 64 signed bytes.
struct S {
  int8x16_t a, b, c, d;
};
DOTORI_INLINE S four_bytes(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof four);
  const int8x16_t v = vreinterpretq_s8_s32(vdupq_n_s32(four));
  return {v, v, v, v};
}
DOTORI_INLINE S load_bytes(const int8_t* x) {
  return {vld1q_s8(x), vld1q_s8(x + 16), vld1q_s8(x + 32), vld1q_s8(x + 48)};
}
DOTORI_INLINE S as_signed(B v) {
  return {vreinterpretq_s8_u8(v.a), vreinterpretq_s8_u8(v.b), vreinterpretq_s8_u8(v.c), vreinterpretq_s8_u8(v.d)};
}
DOTORI_INLINE I dot4_signed(I acc, S w, S x) {
  return {vdotq_s32(acc.a, w.a, x.a), vdotq_s32(acc.b, w.b, x.b), vdotq_s32(acc.c, w.c, x.c),
          vdotq_s32(acc.d, w.d, x.d)};
}
// w = (w - 128) + 64 + 64: only signed bytes can be multiplied.
DOTORI_INLINE I dot4_any(I acc, B w, S x) {
  const int8x16_t v = vdupq_n_s8(64);
  const S half = {v, v, v, v};
  return dot4_signed(dot4_signed(dot4_signed(acc, as_signed(b_flip(w)), x), half, x), half, x);
}

// acc[lane] += sum over four bytes of w[4 lane + i] * x[i]: w unsigned, x four signed bytes shared by all lanes.
// dot4 takes any w; dot4_small takes w <= 63, which some instruction sets do faster.
DOTORI_INLINE I dot4(I acc, B w, const int8_t* x) { return dot4_any(acc, w, four_bytes(x)); }
DOTORI_INLINE I dot4_small(I acc, B w, const int8_t* x) { return dot4_signed(acc, as_signed(w), four_bytes(x)); }
// The same with 64 different signed bytes: x[4 lane + i].
DOTORI_INLINE I dot4_each(I acc, B w, const int8_t* x) { return dot4_any(acc, w, load_bytes(x)); }
DOTORI_INLINE I dot4_small_each(I acc, B w, const int8_t* x) { return dot4_signed(acc, as_signed(w), load_bytes(x)); }

// Bytes that stand for w - 128. Where kDotIsSigned, dot4_flipped(acc, w, x) adds (w - 128) x; elsewhere it adds w x and
// its caller takes 128 sum(x) out. x is within -127..127.
constexpr bool kDotIsSigned = true;
DOTORI_INLINE I dot4_flipped(I acc, B w, const int8_t* x) {
  return dot4_signed(acc, as_signed(b_flip(w)), four_bytes(x));
}

// A sum of up to 32 products with nibbles (w <= 15), that is of 8 calls of dot4_nibbles, from `start` on, which begin
// and end are both told.
using N = I;
DOTORI_INLINE N nibbles_begin(int32_t start) { return i_all(start); }
DOTORI_INLINE N dot4_nibbles(N acc, B w, const int8_t* x) { return dot4_small(acc, w, x); }
DOTORI_INLINE I nibbles_end(N acc, int32_t) { return acc; }

DOTORI_INLINE void prefetch(const void* at) { __builtin_prefetch(at); }

}  // namespace dotori::neon_dotprod
