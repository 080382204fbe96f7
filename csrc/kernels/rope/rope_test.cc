#include <cmath>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/matmul/test_support.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

// Two products and a sum, each rounded, of parts that may cancel: three half units of the larger part's size.
void check_head(const Kernels& kernels, const Kernels& reference, int head_dim, float size, bool neighbours,
                Random& random) {
  const int half = head_dim / 2;
  std::vector<float> x(head_dim + 1), cosine(half), sine(half);
  for (float& v : x) v = random.uniform() * size;
  for (int i = 0; i < half; ++i) {
    const float angle = random.uniform() * 3000.0f;
    cosine[i] = std::cos(angle);
    sine[i] = std::sin(angle);
  }
  std::vector<float> want = x, got = x;
  reference.rope(want.data(), head_dim, cosine.data(), sine.data(), neighbours);
  kernels.rope(got.data(), head_dim, cosine.data(), sine.data(), neighbours);
  for (int i = 0; i <= head_dim; ++i) {
    CHECK(std::fabs(got[i] - want[i]) <= 3 * 0x1p-24 * 1.5 * size, "%s H %d at %d: %g, not %g", kernels.isa, head_dim,
          i, got[i], want[i]);
  }
  for (int i = 0; i < half; ++i) {  // the reference itself keeps lengths
    const int a = neighbours ? 2 * i : i, b = neighbours ? 2 * i + 1 : i + half;
    CHECK(std::fabs(std::hypot(want[a], want[b]) - std::hypot(x[a], x[b])) <= 1e-6 * size, "reference H %d", head_dim);
  }
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori;
  const KernelList list = runnable_kernels();
  for (int i = 1; i < list.count; ++i) {
    test::Random random{3};
    for (int head_dim = 2; head_dim <= 260; head_dim += 2) {
      for (float size : {1.0f, 1e-20f, 1e20f}) {
        for (bool neighbours : {false, true}) {
          test::check_head(*list.items[i], *list.items[0], head_dim, size, neighbours, random);
        }
      }
    }
  }
  return test::report("rope");
}
