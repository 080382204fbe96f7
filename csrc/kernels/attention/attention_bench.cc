// Speed of attention, one thread and one key/value head at a time.
//
//     attention_bench [isa]
//
// One token: GB/s of float16 keys and values, from as many heads as make 256 MB (beyond every cache), whatever G is.
// 256 tokens: Gflop/s, four for each query, position and dimension that is seen.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/matmul/test_support.h"
#include "platform/buffer.h"

namespace dotori::test {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <typename Work>
double best_seconds(Work work) {
  double best = 1e9, total = 0.0;
  for (int turn = 0; turn < 5 || (total < 0.7 && turn < 10000); ++turn) {
    const double begin = now();
    work();
    best = std::min(best, now() - begin);
    total += now() - begin;
  }
  return best;
}

struct Heads {
  Buffer storage;
  std::vector<KeyValues> views;

  Heads(int heads, int positions, int head_dim) {
    const int64_t count = static_cast<int64_t>(positions) * head_dim;
    storage = Buffer(heads * count * 4);
    auto* at = reinterpret_cast<uint16_t*>(storage.data);
    Random random{1};
    for (int64_t i = 0; i < heads * count * 2; ++i) at[i] = static_cast<uint16_t>(random.bits() & 0xb3ff);  // within 1
    for (int h = 0; h < heads; ++h, at += 2 * count) {
      views.push_back({at, at + count, kTile * head_dim, positions, head_dim});
    }
  }
};

struct Run {
  std::vector<float> q, out, scratch;
  Queries queries{};

  Run(int tokens, int group, int head_dim, int first_position)
      : q(static_cast<size_t>(tokens) * group * head_dim),
        out(q.size()),
        scratch(static_cast<size_t>(attention_scratch(tokens, group, head_dim))) {
    Random random{2};
    for (float& x : q) x = random.uniform();
    queries = {q.data(), group * head_dim, out.data(), group * head_dim, tokens, group, first_position, 0, 0.125f};
  }
};

void decode(const Kernels& kernels, int positions, int head_dim, int group) {
  const int64_t bytes = static_cast<int64_t>(positions) * head_dim * 4;
  Heads heads(static_cast<int>(256000000 / bytes), positions, head_dim);
  Run run(1, group, head_dim, positions - 1);
  const double seconds = best_seconds([&] {
    for (const KeyValues& head : heads.views) kernels.attention(head, run.queries, run.scratch.data());
  });
  std::printf("%-12s decode  H %3d G %d %5d positions  %6.1f GB/s\n", kernels.isa, head_dim, group, positions,
              static_cast<double>(bytes) * heads.views.size() / seconds / 1e9);
}

void prefill(const Kernels& kernels, int first, int head_dim, int group) {
  constexpr int kTokens = 256;
  Heads heads(1, first + kTokens, head_dim);
  Run run(kTokens, group, head_dim, first);
  const double seconds =
      best_seconds([&] { kernels.attention(heads.views[0], run.queries, run.scratch.data()); });
  const double seen = static_cast<double>(kTokens) * first + kTokens * (kTokens + 1) / 2.0;
  std::printf("%-12s prefill H %3d G %d %5d before     %6.1f Gflop/s\n", kernels.isa, head_dim, group, first,
              4.0 * seen * group * head_dim / seconds / 1e9);
}

}  // namespace
}  // namespace dotori::test

int main(int count, char** words) {
  using namespace dotori;
  const KernelList list = runnable_kernels();
  for (int i = 1; i < list.count; ++i) {
    const Kernels& kernels = *list.items[i];
    if (count > 1 && std::string(words[1]) != kernels.isa) continue;
    for (int positions : {4096, 16384}) {
      for (int head_dim : {64, 128}) {
        for (int group : {1, 3, 4, 8}) test::decode(kernels, positions, head_dim, group);
      }
    }
    for (int first : {0, 1024, 3840}) {
      for (int head_dim : {64, 128}) {
        for (int group : {1, 4}) test::prefill(kernels, first, head_dim, group);
      }
    }
  }
}
