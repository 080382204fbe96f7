// quantize(): its definition, and the same bits from every instruction set.
#include "kernels/matmul/test_support.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

struct Quantized {
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<int32_t> sum;
};

Quantized run(Quantize quantize, const std::vector<float>& x) {
  Quantized out = {std::vector<int8_t>(x.size()), std::vector<float>(x.size() / 32),
                   std::vector<int32_t>(x.size() / 16)};
  quantize(x.data(), static_cast<int>(x.size()), out.q.data(), out.scale.data(), out.sum.data());
  return out;
}

// The reference itself: every value within half a step, sums right, ranges kept.
void check_definition(const std::vector<float>& x, const Quantized& out) {
  for (size_t i = 0; i < x.size(); ++i) {
    const double scale = out.scale[i / 32];
    // x * (127 / largest) rounds twice (2^-24 of at most 127 each) before the tie is decided.
    const double tolerance = scale == 0.0 ? kSmallestBlock : scale * (0.5 + 3 * 127 * 0x1p-24);
    CHECK(std::fabs(x[i] - scale * out.q[i]) <= tolerance, "%g as %d * %g", x[i], out.q[i], scale);
    CHECK(out.q[i] >= -127, "%d", out.q[i]);
  }
  for (size_t group = 0; group < out.sum.size(); ++group) {
    int sum = 0;
    for (size_t i = 16 * group; i < 16 * group + 16; ++i) sum += out.q[i];
    CHECK(sum == out.sum[group], "sum %d, not %d", out.sum[group], sum);
  }
}

void check_all(const std::vector<IsaProducts>& isas, const std::vector<float>& x, const char* what) {
  const Quantized expected = run(isas[0].quantize, x);
  check_definition(x, expected);
  for (const IsaProducts& isa : isas) {
    const Quantized got = run(isa.quantize, x);
    CHECK(got.q == expected.q && got.sum == expected.sum, "%s: %s", isa.name, what);
    CHECK(std::memcmp(got.scale.data(), expected.scale.data(), 4 * got.scale.size()) == 0, "%s: %s", isa.name, what);
  }
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori::test;
  Random random{99};
  const auto isas = runnable_products();
  for (size_t cols : {32, 64, 96, 1024, 4096}) {
    std::vector<float> x(cols);
    for (int exponent : {-140, -101, -100, -99, -60, 0, 60, 126}) {
      for (float& value : x) value = std::ldexp(random.uniform(), exponent);
      check_all(isas, x, "random");
    }
    for (float& value : x) value = 0.5f * static_cast<float>(random.below(511) - 255);  // ties
    x[0] = 127.0f;
    check_all(isas, x, "ties");
    for (size_t i = 0; i < cols; ++i) x[i] = i / 32 % 2 ? 0.0f : (i % 2 ? -3e38f : 3e38f);
    check_all(isas, x, "largest and zero");
  }
  return report("quantize_test");
}
