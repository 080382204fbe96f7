#include <cmath>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/matmul/test_support.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

// A sum of n squares in 64 lanes: a chain of n / 64 + 6 roundings of positive numbers, halved by the root; then four
// more roundings.
double tolerance(int cols) { return 0x1p-24 * (cols / 128.0 + 3 + 4) * 1.01; }

void check_row(const Kernels& kernels, const Kernels& reference, int cols, float size, Random& random) {
  std::vector<float> x(cols), gain(cols), want(cols), got(cols + 1, 7.0f);
  for (float& v : x) v = random.uniform() * size;
  for (float& v : gain) v = random.uniform() * 2.0f;
  for (float eps : {1e-6f, 1e-5f, 0.5f}) {
    reference.rmsnorm(x.data(), gain.data(), cols, eps, want.data());
    kernels.rmsnorm(x.data(), gain.data(), cols, eps, got.data());
    std::vector<float> in_place = x;
    kernels.rmsnorm(in_place.data(), gain.data(), cols, eps, in_place.data());
    for (int i = 0; i < cols; ++i) {
      // The smallest normal number allows for results that are not.
      CHECK(std::fabs(got[i] - want[i]) <= tolerance(cols) * std::fabs(want[i]) + 0x1p-126,
            "%s cols %d size %g: %g, not %g", kernels.isa, cols, size, got[i], want[i]);
      CHECK(in_place[i] == got[i], "%s cols %d: differs in place", kernels.isa, cols);
    }
    CHECK(got[cols] == 7.0f, "%s cols %d: written beyond the row", kernels.isa, cols);
  }
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori;
  const KernelList list = runnable_kernels();
  for (int i = 1; i < list.count; ++i) {
    test::Random random{77};
    for (float size : {1.0f, 0.0f, 1e-20f, 1e15f, 1e-3f}) {
      for (int cols = 1; cols < 200; ++cols) test::check_row(*list.items[i], *list.items[0], cols, size, random);
      for (int cols : {576, 1026, 2048, 4098}) test::check_row(*list.items[i], *list.items[0], cols, size, random);
    }
  }
  return test::report("rmsnorm");
}
