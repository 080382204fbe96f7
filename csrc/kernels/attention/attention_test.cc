#include "kernels/attention/attention.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/matmul/test_support.h"
#include "platform/half.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

struct Case {
  int tokens, group, head_dim, first_position, window, capacity;
  float size;  // of keys and queries: large ones make sharp weights
};

struct Cache {
  std::vector<uint16_t> keys, values;
  KeyValues view;

  Cache(int capacity, int head_dim)
      : keys(static_cast<size_t>(capacity) * head_dim),
        values(keys.size()),
        view{keys.data(), values.data(), static_cast<int64_t>(kTile) * head_dim, capacity, head_dim} {}
};

// All that a run reads: keys and values of every position from 0 on, and the queries of all tokens.
struct Data {
  std::vector<float> keys, values, q;

  Data(const Case& c, Random& random) {
    const size_t positions = static_cast<size_t>(c.first_position + c.tokens);
    keys.resize(positions * c.head_dim);
    values.resize(keys.size());
    q.resize(static_cast<size_t>(c.tokens) * c.group * c.head_dim);
    for (float& x : keys) x = random.uniform() * c.size;
    for (float& x : values) x = random.uniform();
    for (float& x : q) x = random.uniform() * c.size;
  }
};

// The tokens in batches of `batch`, each stored before it is attended, as a session does.
std::vector<float> attend(const Kernels& kernels, const Case& c, const Data& data, int batch) {
  Cache cache(c.capacity, c.head_dim);
  auto store = [&](int position) {
    const size_t at = static_cast<size_t>(position) * c.head_dim;
    kernels.store_key_value(cache.view, position, &data.keys[at], &data.values[at]);
  };
  for (int p = 0; p < c.first_position; ++p) store(p);
  const int width = c.group * c.head_dim;
  std::vector<float> out(data.q.size(), -1.0f);
  for (int t = 0; t < c.tokens; t += batch) {
    const int count = t + batch < c.tokens ? batch : c.tokens - t;
    for (int i = t; i < t + count; ++i) store(c.first_position + i);
    const size_t floats = static_cast<size_t>(attention_scratch(count, c.group, c.head_dim));
    std::vector<float> scratch(floats + 1, std::nanf(""));  // nothing may be read before it is written
    scratch[floats] = 7.0f;
    Queries queries{};
    queries.q = &data.q[static_cast<size_t>(t) * width];
    queries.out = &out[static_cast<size_t>(t) * width];
    queries.q_stride = queries.out_stride = width;
    queries.tokens = count;
    queries.group = c.group;
    queries.first_position = c.first_position + t;
    queries.window = c.window;
    queries.scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    kernels.attention(cache.view, queries, scratch.data());
    CHECK(scratch[floats] == 7.0f, "scratch overrun");
  }
  return out;
}

// A score is a chain of H roundings of numbers up to size^2 sqrt(H) after scaling, in random directions: its error is
// about sqrt(H) eps size^2 sqrt(H) / 3, and that is a weight's relative error. The sum of values (up to 1) is a chain
// of at most n positions, whose roundings grow as sqrt(n) eps. Five times that is allowed.
double tolerance(const Case& c) {
  const double eps = 0x1p-24, positions = c.first_position + c.tokens;
  return 5.0 * eps * (4.0 + c.size * c.size * c.head_dim / 3.0 + std::sqrt(positions));
}

void check_case(const Kernels& kernels, const Kernels& reference, const Case& c, Random& random) {
  const Data data(c, random);
  const std::vector<float> want = attend(reference, c, data, c.tokens);
  const std::vector<float> all = attend(kernels, c, data, c.tokens), single = attend(kernels, c, data, 1);
  const std::vector<float> some = attend(kernels, c, data, 7);
  double worst = 0.0;
  for (size_t i = 0; i < all.size(); ++i) {
    const double error = std::fabs(static_cast<double>(all[i]) - want[i]);
    if (!(error <= worst)) worst = error;
  }
  CHECK(worst <= tolerance(c), "%s T %d G %d H %d first %d window %d: error %g, allowed %g", kernels.isa, c.tokens,
        c.group, c.head_dim, c.first_position, c.window, worst, tolerance(c));
  const size_t bytes = all.size() * sizeof(float);
  CHECK(!std::memcmp(all.data(), single.data(), bytes) && !std::memcmp(all.data(), some.data(), bytes),
        "%s T %d G %d H %d first %d window %d: bits depend on T", kernels.isa, c.tokens, c.group, c.head_dim,
        c.first_position, c.window);
}

int rounded(int positions) { return (positions + kTile - 1) / kTile * kTile; }

void check_shapes(const Kernels& kernels, const Kernels& reference, Random& random) {
  for (int tokens : {1, 3, 17, 64, 130}) {
    for (int group : {1, 3, 4, 6, 8}) {
      for (int head_dim : {16, 32, 64, 80, 128}) {
        const int first = random.below(200);
        const float size = random.below(4) ? 1.0f : 5.0f;
        check_case(kernels, reference, {tokens, group, head_dim, first, 0, rounded(first + tokens), size}, random);
        const int window = 1 + random.below(150), ring = rounded(window + tokens), far = 100 + random.below(400);
        check_case(kernels, reference, {tokens, group, head_dim, far, window, ring, size}, random);
      }
    }
  }
}

// Every boundary of a tile against every boundary of a window.
void check_edges(const Kernels& kernels, const Kernels& reference, Random& random) {
  for (int first : {0, 1, 15, 16, 62, 63, 64, 65, 127, 128, 129}) {
    for (int window : {0, 1, 2, 15, 16, 17, 63, 64, 65, 128, 1000}) {
      check_case(kernels, reference, {5, 2, 32, first, window, 256, 1.0f}, random);
    }
  }
}

// Scores of hundreds, growing with position and then falling: the largest changes in every tile, and weights vanish.
void check_steep(const Kernels& kernels, const Kernels& reference, Random& random) {
  const Case c{100, 3, 64, 300, 0, 448, 1.0f};
  for (float slope : {0.05f, -0.05f, 3.0f, -3.0f}) {
    Data data(c, random);
    for (size_t i = 0; i < data.keys.size(); ++i) data.keys[i] = slope * static_cast<float>(i / c.head_dim);
    for (float& x : data.q) x = 1.0f;
    const std::vector<float> want = attend(reference, c, data, c.tokens);
    const std::vector<float> all = attend(kernels, c, data, c.tokens), single = attend(kernels, c, data, 1);
    for (size_t i = 0; i < all.size(); ++i) {
      // Scores reach 8 * 1200 = 9600 with an error of 64 roundings at worst.
      const double allowed = 64 * 0x1p-24 * std::fabs(slope) * 400 * 8 + 1e-5;
      CHECK(std::fabs(all[i] - want[i]) <= allowed, "%s slope %g: %g, not %g", kernels.isa, slope, all[i], want[i]);
      CHECK(!std::memcmp(&all[i], &single[i], 4), "%s slope %g: bits depend on T", kernels.isa, slope);
    }
  }
}

void check_store(const Kernels& kernels, const Kernels& reference, Random& random) {
  constexpr int kHeadDim = 48, kCapacity = 128;
  Cache got(kCapacity, kHeadDim), want(kCapacity, kHeadDim);
  float key[kHeadDim], value[kHeadDim];
  for (int turn = 0; turn < 3000; ++turn) {
    for (int i = 0; i < kHeadDim; ++i) {
      key[i] = std::ldexp(random.uniform(), random.below(44) - 27);  // subnormal halves and overflow too
      // Halfway between two halves: 11 bits and a half.
      value[i] = std::ldexp(static_cast<float>(2 * (1024 + random.below(1024)) + 1), random.below(30) - 26);
    }
    const int position = random.below(100000);
    kernels.store_key_value(got.view, position, key, value);
    reference.store_key_value(want.view, position, key, value);
  }
  CHECK(got.keys == want.keys && got.values == want.values, "%s: stored halves differ", kernels.isa);
}

// The reference itself, against one softmax written out.
void check_reference(const Kernels& reference) {
  const Case c{1, 1, 16, 2, 2, 64, 1.0f};
  Random random{5};
  Data data(c, random);
  for (int i = 0; i < 48; ++i) data.keys[i] = data.values[i] = static_cast<float>(i / 16);
  for (float& x : data.q) x = 0.25f;
  const std::vector<float> out = attend(reference, c, data, 1);
  const double one = std::exp(1.0), two = std::exp(2.0);  // 16 * 0.25 * {1, 2} / sqrt(16)
  CHECK(std::fabs(out[3] - (one + 2.0 * two) / (one + two)) < 1e-6, "reference: %g", out[3]);
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori;
  const KernelList list = runnable_kernels();
  const Kernels& reference = *list.items[0];
  test::check_reference(reference);
  for (int i = 1; i < list.count; ++i) {
    test::Random random{20260101};
    const Kernels& kernels = *list.items[i];
    test::check_store(kernels, reference, random);
    test::check_edges(kernels, reference, random);
    test::check_steep(kernels, reference, random);
    test::check_shapes(kernels, reference, random);
  }
  return test::report("attention");
}
