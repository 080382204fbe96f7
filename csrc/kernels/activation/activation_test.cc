#include <cmath>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/matmul/test_support.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

constexpr double kEps = 0x1p-24;

struct Rows {
  std::vector<float> gate, up, want, got;

  Rows(int count, float size, Random& random) : gate(count), up(count), want(count + 1, 7.0f), got(want) {
    for (float& v : gate) v = random.uniform() * size;
    for (float& v : up) v = random.uniform() * 3.0f;
  }
};

void check_gate(const char* isa, GatedActivation gated, GatedActivation reference, double tolerance, int count,
                float size, Random& random) {
  Rows r(count, size, random);
  reference(r.gate.data(), r.up.data(), count, r.want.data());
  gated(r.gate.data(), r.up.data(), count, r.got.data());
  for (int i = 0; i <= count; ++i) {
    // The smallest normal number allows for silu's far end: e^88 and more is infinite in float32, its inverse 0.
    const double allowed = tolerance * std::fabs(r.want[i]) + 0x1p-118;
    CHECK(std::fabs(r.got[i] - r.want[i]) <= allowed, "%s count %d size %g at %d: %g, not %g", isa, count, size, i,
          r.got[i], r.want[i]);
  }
  gated(r.gate.data(), r.up.data(), count, r.gate.data());
  for (int i = 0; i < count; ++i) CHECK(r.gate[i] == r.got[i], "%s count %d: differs in place", isa, count);
}

void check_add_scaled(const Kernels& kernels, const Kernels& reference, int count, float size, Random& random) {
  Rows r(count, size, random);
  for (int i = 0; i < count; ++i) r.want[i] = r.got[i] = r.up[i];
  reference.add_scaled(r.gate.data(), 0.22f, count, r.want.data());
  kernels.add_scaled(r.gate.data(), 0.22f, count, r.got.data());
  for (int i = 0; i <= count; ++i) {
    // One rounding, or two where a product is rounded first; the reference has its own.
    CHECK(std::fabs(r.got[i] - r.want[i]) <= 2 * kEps * (3.0 + size), "%s count %d: %g, not %g", kernels.isa, count,
          r.got[i], r.want[i]);
  }
}

// e^x through silu, which is gate / (1 + e^-gate): where e^-gate is large its relative error is silu's, whole, beside
// the roundings of a sum, a quotient and a product.
void check_exponential(const Kernels& kernels) {
  for (double x = 0.5; x < 87.0; x += 1.0 / 512) {
    const float gate = static_cast<float>(-x), up = 1.0f;
    float h;
    kernels.silu_mul(&gate, &up, 1, &h);
    const double want = gate / (1.0 + std::exp(-static_cast<double>(gate)));
    CHECK(std::fabs(h - want) <= (3 * kEps + 1.5e-7) * std::fabs(want), "%s silu(%g): %g", kernels.isa, gate, h);
  }
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori;
  const KernelList list = runnable_kernels();
  const Kernels& reference = *list.items[0];
  for (int i = 1; i < list.count; ++i) {
    test::Random random{9};
    const Kernels& k = *list.items[i];
    test::check_exponential(k);
    for (float size : {1.0f, 10.0f, 200.0f, 1e-20f, 1e30f}) {
      for (int count = 0; count < 100; ++count) {
        // silu: e^x to 1.5e-7, then a sum, a quotient and a product.
        test::check_gate(k.isa, k.silu_mul, reference.silu_mul, 3 * test::kEps + 2e-7, count, size, random);
        test::check_gate(k.isa, k.relu_mul, reference.relu_mul, 0.0, count, size, random);
        test::check_add_scaled(k, reference, count, size, random);
      }
    }
  }
  return test::report("activation");
}
