// Words of sparse_ffn's body beside those of simd/neon_dotprod.h; their meaning is told in words_avx512_vnni.h.
#pragma once

#include "kernels/simd/neon_dotprod.h"

namespace dotori::neon_dotprod {

DOTORI_INLINE N dot4_nibbles_each(N acc, B w, const int8_t* x) { return dot4_small_each(acc, w, x); }
DOTORI_INLINE I dot4_flipped_each(I acc, B w, const int8_t* x) {
  return dot4_signed(acc, as_signed(b_flip(w)), load_bytes(x));
}

struct Part {
  uint8x16_t a, b;
};
struct PartSums {
  int32x4_t a, b;
};
constexpr int kPartBytes = 32;
DOTORI_INLINE Part part_load(const uint8_t* at) { return {vld1q_u8(at), vld1q_u8(at + 16)}; }
DOTORI_INLINE Part part_low(Part v) { return {vandq_u8(v.a, vdupq_n_u8(15)), vandq_u8(v.b, vdupq_n_u8(15))}; }
DOTORI_INLINE Part part_high(Part v) { return {vshrq_n_u8(v.a, 4), vshrq_n_u8(v.b, 4)}; }

DOTORI_INLINE uint8x16_t zip_low_pairs(uint8x16_t a, uint8x16_t b) {
  return vreinterpretq_u8_u16(vzip1q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
}
DOTORI_INLINE uint8x16_t zip_high_pairs(uint8x16_t a, uint8x16_t b) {
  return vreinterpretq_u8_u16(vzip2q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
}
DOTORI_INLINE void part_interleave(Part a, Part b, Part c, Part d, Part (&out)[4]) {
  const Part ab_low = {vzip1q_u8(a.a, b.a), vzip1q_u8(a.b, b.b)}, ab_high = {vzip2q_u8(a.a, b.a), vzip2q_u8(a.b, b.b)};
  const Part cd_low = {vzip1q_u8(c.a, d.a), vzip1q_u8(c.b, d.b)}, cd_high = {vzip2q_u8(c.a, d.a), vzip2q_u8(c.b, d.b)};
  out[0] = {zip_low_pairs(ab_low.a, cd_low.a), zip_low_pairs(ab_low.b, cd_low.b)};
  out[1] = {zip_high_pairs(ab_low.a, cd_low.a), zip_high_pairs(ab_low.b, cd_low.b)};
  out[2] = {zip_low_pairs(ab_high.a, cd_high.a), zip_low_pairs(ab_high.b, cd_high.b)};
  out[3] = {zip_high_pairs(ab_high.a, cd_high.a), zip_high_pairs(ab_high.b, cd_high.b)};
}

// Four dwords each: a0 b0 c0 d0, a1 b1 ...
DOTORI_INLINE void turn_dwords(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d, uint8x16_t (&out)[4]) {
  const uint32x4_t ab_low = vzip1q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b));
  const uint32x4_t ab_high = vzip2q_u32(vreinterpretq_u32_u8(a), vreinterpretq_u32_u8(b));
  const uint32x4_t cd_low = vzip1q_u32(vreinterpretq_u32_u8(c), vreinterpretq_u32_u8(d));
  const uint32x4_t cd_high = vzip2q_u32(vreinterpretq_u32_u8(c), vreinterpretq_u32_u8(d));
  out[0] = vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u32(ab_low), vreinterpretq_u64_u32(cd_low)));
  out[1] = vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u32(ab_low), vreinterpretq_u64_u32(cd_low)));
  out[2] = vreinterpretq_u8_u64(vzip1q_u64(vreinterpretq_u64_u32(ab_high), vreinterpretq_u64_u32(cd_high)));
  out[3] = vreinterpretq_u8_u64(vzip2q_u64(vreinterpretq_u64_u32(ab_high), vreinterpretq_u64_u32(cd_high)));
}
DOTORI_INLINE void part_turn(Part a, Part b, Part c, Part d, Part (&out)[4]) {
  uint8x16_t first[4], second[4];
  turn_dwords(a.a, b.a, c.a, d.a, first);
  turn_dwords(a.b, b.b, c.b, d.b, second);
  for (int q = 0; q < 4; ++q) out[q] = {first[q], second[q]};
}

DOTORI_INLINE Part part_join_low(Part a, Part b) {
  return {vsliq_n_u8(vandq_u8(a.a, vdupq_n_u8(15)), b.a, 4), vsliq_n_u8(vandq_u8(a.b, vdupq_n_u8(15)), b.b, 4)};
}
DOTORI_INLINE Part part_join_high(Part a, Part b) { return {vsriq_n_u8(b.a, a.a, 4), vsriq_n_u8(b.b, a.b, 4)}; }
DOTORI_INLINE void part_store_sixteens(uint8_t* at, int64_t stride, Part v) {
  vst1q_u8(at, v.a);
  vst1q_u8(at + stride, v.b);
}
DOTORI_INLINE void part_store(uint8_t* at, Part v) { part_store_sixteens(at, 16, v); }

DOTORI_INLINE PartSums part_zero() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
DOTORI_INLINE PartSums part_nibbles(PartSums acc, Part w, const int8_t* h) {
  int32_t four;
  std::memcpy(&four, h, sizeof four);
  const int8x16_t v = vreinterpretq_s8_s32(vdupq_n_s32(four));
  return {vdotq_s32(acc.a, vreinterpretq_s8_u8(w.a), v), vdotq_s32(acc.b, vreinterpretq_s8_u8(w.b), v)};
}
DOTORI_INLINE PartSums part_bytes(PartSums acc, Part w, const int8_t* h) {
  const uint8x16_t bits = vdupq_n_u8(0x80);
  return part_nibbles(acc, Part{veorq_u8(w.a, bits), veorq_u8(w.b, bits)}, h);
}
DOTORI_INLINE void part_store_nibbles(int32_t* at, PartSums sums) {
  vst1q_s32(at, sums.a);
  vst1q_s32(at + 4, sums.b);
}
DOTORI_INLINE void part_store_bytes(int32_t* at, PartSums sums) { part_store_nibbles(at, sums); }

}  // namespace dotori::neon_dotprod
