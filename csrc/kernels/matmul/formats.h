// How the quantized products of body.h read each format's panels; included, like body.h, inside an instruction set's
// namespace. layouts.h draws the bytes.
//
// A format is where a unit of a panel lies, a unit being kSteps steps of 32 columns:
//   at(panel, index)       the unit
//   vector<step>(unit, j)  columns 4j .. 4j + 3 of the step, as unsigned bytes
//   scale<step>(unit, part)  the weights' scale in the step, or in one of its halves of 16 columns where kParts is 2
//   minimum<step>(unit)    what is subtracted from every weight, where kHasMinimum
//   start(sum)             the integer from which a part's products are summed, which takes the weights' offset out
//   ask(unit)              asks memory for what lies kAhead bytes further on
// kUnpacksOnce: unpacking takes longer than moving activations for lots.h.
// kNibbles: the bytes are at most 15. kFlipped: they stand for byte - 128. Otherwise they are at most 63.

constexpr int kAhead = 8192;

template <int bytes>
DOTORI_INLINE void ask_lines(const uint8_t* at) {
#pragma GCC unroll 32
  for (int line = 0; line < bytes; line += 64) prefetch(at + line + kAhead);
}

DOTORI_INLINE F load_scales(const uint8_t* at) { return f_load_f16(reinterpret_cast<const uint16_t*>(at)); }

struct Q4_0 {
  static constexpr int kSteps = 1, kParts = 1;
  static constexpr bool kUnpacksOnce = false, kHasMinimum = false, kNibbles = true, kFlipped = false;
  const uint8_t *scales, *body;

  DOTORI_INLINE Q4_0 at(const uint8_t* panel, int64_t index) {
    return {panel + scales_at(index, kQ4_0Body), panel + body_at(index, kQ4_0Body)};
  }
  DOTORI_INLINE void ask(const Q4_0& unit) {
    ask_lines<64>(unit.scales);
    ask_lines<kQ4_0Body>(unit.body);
  }
  template <int step>
  DOTORI_INLINE B vector(const Q4_0& unit, int j) {
    return j < 4 ? b_low(b_load(unit.body + 64 * j)) : b_high(b_load(unit.body + 64 * (j - 4)));
  }
  template <int step>
  DOTORI_INLINE F scale(const Q4_0& unit, int) {
    return load_scales(unit.scales);
  }
  DOTORI_INLINE int32_t start(int32_t sum) { return -8 * sum; }
};

struct Q8_0 {
  static constexpr int kSteps = 1, kParts = 1;
  static constexpr bool kUnpacksOnce = false, kHasMinimum = false, kNibbles = false, kFlipped = true;
  const uint8_t *scales, *body;

  DOTORI_INLINE Q8_0 at(const uint8_t* panel, int64_t index) {
    return {panel + scales_at(index, kQ8_0Body), panel + body_at(index, kQ8_0Body)};
  }
  DOTORI_INLINE void ask(const Q8_0& unit) {
    ask_lines<64>(unit.scales);
    ask_lines<kQ8_0Body>(unit.body);
  }
  template <int step>
  DOTORI_INLINE B vector(const Q8_0& unit, int j) {
    return b_load(unit.body + 64 * j);
  }
  template <int step>
  DOTORI_INLINE F scale(const Q8_0& unit, int) {
    return load_scales(unit.scales);
  }
  DOTORI_INLINE int32_t start(int32_t sum) { return kDotIsSigned ? 0 : -128 * sum; }
};

struct Q4_K {
  static constexpr int kSteps = 2, kParts = 1;
  static constexpr bool kUnpacksOnce = true, kHasMinimum = true, kNibbles = true, kFlipped = false;
  const uint8_t *block, *groups, *body;

  DOTORI_INLINE Q4_K at(const uint8_t* panel, int64_t index) {
    const uint8_t* block = panel + index / 4 * kQ4_KBlock;
    return {block, block + kQ4_KScales + index % 4 * 32, block + kQ4_KNibbles + index % 4 * 8 * kVectorBytes};
  }
  DOTORI_INLINE void ask(const Q4_K& unit) {
    ask_lines<80>(unit.groups);
    ask_lines<8 * kVectorBytes>(unit.body);
  }
  template <int step>
  DOTORI_INLINE B vector(const Q4_K& unit, int j) {
    return step == 0 ? b_low(b_load(unit.body + 64 * j)) : b_high(b_load(unit.body + 64 * j));
  }
  template <int step>
  DOTORI_INLINE F scale(const Q4_K& unit, int) {
    return f_mul(load_scales(unit.block), f_of(i_load_u8(unit.groups + 16 * step)));
  }
  template <int step>
  DOTORI_INLINE F minimum(const Q4_K& unit) {
    const uint8_t* minima = unit.groups + (kQ4_KMinima - kQ4_KScales) + 16 * step;
    return f_mul(load_scales(unit.block + kScaleBytes), f_of(i_load_u8(minima)));
  }
  DOTORI_INLINE int32_t start(int32_t) { return 0; }
};

struct Q6_K {
  static constexpr int kSteps = 4, kParts = 2;
  static constexpr bool kUnpacksOnce = true, kHasMinimum = false, kNibbles = false, kFlipped = false;
  const uint8_t *scales, *groups, *half;

  DOTORI_INLINE Q6_K at(const uint8_t* panel, int64_t index) {
    const uint8_t* body = panel + body_at(index / 2, kQ6_KBody);
    return {panel + scales_at(index / 2, kQ6_KBody), body + index % 2 * 128,
            body + kQ6_KScales + index % 2 * kQ6_KHalf};
  }
  DOTORI_INLINE void ask(const Q6_K& unit) {
    ask_lines<128>(unit.groups);
    ask_lines<kQ6_KHalf>(unit.half);
  }
  template <int step>
  DOTORI_INLINE B vector(const Q6_K& unit, int j) {
    const uint8_t* at = unit.half + kVectorBytes * j;
    if constexpr (step < 3) return b_and(b_load(at + step * kQ6_KQuarter), 63);
    else return b_top_bits(b_load(at), b_load(at + kQ6_KQuarter), b_load(at + 2 * kQ6_KQuarter));
  }
  template <int step>
  DOTORI_INLINE F scale(const Q6_K& unit, int part) {
    const auto* bytes = reinterpret_cast<const int8_t*>(unit.groups + 16 * (2 * step + part));
    return f_mul(load_scales(unit.scales), f_of(i_load_i8(bytes)));
  }
  DOTORI_INLINE int32_t start(int32_t sum) { return -32 * sum; }
};

// Floating formats: one column of 16 rows.
struct F32 {
  static constexpr int kColumnBytes = 64;
  DOTORI_INLINE F column(const uint8_t* at) { return f_load(reinterpret_cast<const float*>(at)); }
};
struct F16 {
  static constexpr int kColumnBytes = 32;
  DOTORI_INLINE F column(const uint8_t* at) { return f_load_f16(reinterpret_cast<const uint16_t*>(at)); }
};
struct Bf16 {
  static constexpr int kColumnBytes = 32;
  DOTORI_INLINE F column(const uint8_t* at) { return f_load_bf16(reinterpret_cast<const uint16_t*>(at)); }
};
