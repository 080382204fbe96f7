// 16-bit floats against exact arithmetic in double, which holds every half and every point halfway between two.
#include "platform/half.h"

#include <cmath>
#include <limits>

#include "tests/check.h"

namespace dotori::test {
namespace {

constexpr uint16_t kInfinity = 0x7c00;

// What the bits mean, from the definition.
double exact(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude =
      exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(static_cast<double>(mantissa), -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

// The nearest half, ties to even, in double: every half is a multiple of its binade's unit.
double nearest(float value) {
  const double x = value;
  if (std::fabs(x) >= 65520.0) return std::copysign(std::numeric_limits<double>::infinity(), x);
  const int exponent = x == 0.0 ? -14 : std::ilogb(x) < -14 ? -14 : std::ilogb(x);
  return std::ldexp(std::nearbyint(std::ldexp(x, 10 - exponent)), exponent - 10);
}

void check_all_halves() {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const float value = f16_to_f32(half);
    const bool is_negative = bits & 0x8000;
    CHECK(std::signbit(value) == is_negative, "%04x: sign of %g", bits, value);
    if ((bits & 0x7c00) != kInfinity) {
      CHECK(value == exact(half), "%04x: %g, not %g", bits, value, exact(half));
      CHECK(f32_to_f16(value) == half, "%04x: %04x comes back", bits, f32_to_f16(value));
    } else if (bits & 0x3ff) {
      CHECK(std::isnan(value), "%04x: %g", bits, value);
      const uint16_t back = f32_to_f16(value);
      CHECK((back & kInfinity) == kInfinity && (back & 0x3ff), "%04x: %04x comes back", bits, back);
    } else {
      CHECK(std::isinf(value) && f32_to_f16(value) == half, "%04x: %g", bits, value);
    }
  }
}

// Rounding changes halfway between neighbours and nowhere else: there, one float below and one above.
void check_every_boundary() {
  for (uint32_t bits = 0; bits < kInfinity; ++bits) {
    const uint16_t below = static_cast<uint16_t>(bits), above = static_cast<uint16_t>(bits + 1);
    const double end = above == kInfinity ? 65536.0 : exact(above);
    const float halfway = static_cast<float>((exact(below) + end) / 2);
    const uint16_t even = bits & 1 ? above : below;
    const float before = std::nextafter(halfway, 0.0f), after = std::nextafter(halfway, 1e30f);
    CHECK(f32_to_f16(halfway) == even, "%.10g: %04x, not %04x", halfway, f32_to_f16(halfway), even);
    CHECK(f32_to_f16(before) == below, "%.10g: %04x, not %04x", before, f32_to_f16(before), below);
    CHECK(f32_to_f16(after) == above, "%.10g: %04x, not %04x", after, f32_to_f16(after), above);
    CHECK(f32_to_f16(-halfway) == (even | 0x8000), "%.10g: %04x", -halfway, f32_to_f16(-halfway));
  }
}

// All exponents and signs, every 4099th pattern of bits (a prime).
void check_floats() {
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 4099) {
    const float value = bits_to_float(static_cast<uint32_t>(bits));
    if (std::isnan(value)) continue;
    const float got = f16_to_f32(f32_to_f16(value));
    CHECK(got == nearest(value) && std::signbit(got) == std::signbit(value), "%.10g: %.10g, not %.10g", value, got,
          nearest(value));
  }
}

void check_bfloat() {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = bf16_to_f32(static_cast<uint16_t>(bits));
    CHECK(float_to_bits(value) == bits << 16, "%04x: %g", bits, value);
  }
}

}  // namespace
}  // namespace dotori::test

int main() {
  dotori::test::check_all_halves();
  dotori::test::check_every_boundary();
  dotori::test::check_floats();
  dotori::test::check_bfloat();
  return dotori::test::report("half_test");
}
