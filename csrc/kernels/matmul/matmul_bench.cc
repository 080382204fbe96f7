// Speed of the matrix products, beside what the machine can do: reading memory, and integer dot products.
//
//     matmul_bench [isa [type]]
//
// One token: GB/s of weights from 1 GB of panels (beyond every cache) and from 30 MB. 128 tokens: Gop/s, two for each
// weight and token.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "kernels/matmul/test_support.h"
#include "platform/buffer.h"
#include "platform/thread_pool.h"

namespace dotori::test {
namespace {

constexpr int kCols = 2048;
constexpr int64_t kLarge = 1000000000, kNear = 30000000;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The shortest of many runs, which together last about a second; work(turn).
template <typename Work>
double best_seconds(Work work) {
  double best = 1e9, total = 0.0;
  for (int turn = 0; turn < 16 || (total < 1.0 && turn < 10000); ++turn) {
    const double begin = now();
    work(turn);
    const double seconds = now() - begin;
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

// Adds up memory in wide strides.
uint64_t read_all(const uint8_t* data, int64_t bytes) {
  uint64_t sums[16] = {};
  const auto* words = reinterpret_cast<const uint64_t*>(data);
  for (int64_t i = 0; i + 16 <= bytes / 8; i += 16) {
    for (int lane = 0; lane < 16; ++lane) sums[lane] += words[i + lane];
  }
  uint64_t total = 0;
  for (uint64_t sum : sums) total += sum;
  return total;
}

// A long range is timed in pieces, one after another, so that other programs disturb only some of them: of 1 GB, each
// piece has left every cache when its turn comes again.
constexpr int64_t kPiece = 30000000;

double read_bandwidth(const uint8_t* data, int64_t bytes, ThreadPool& pool) {
  std::vector<uint64_t> sums(static_cast<size_t>(pool.size) * 8);
  const uint8_t* piece = data;
  auto work = [&](int thread) {
    const Share share = share_of(static_cast<int>(kPiece / 4096), thread, pool.size);
    sums[static_cast<size_t>(thread) * 8] = read_all(piece + share.begin * 4096ll, (share.end - share.begin) * 4096ll);
  };
  const double seconds = best_seconds([&](int turn) {
    piece = data + turn % (bytes / kPiece) * kPiece;
    run(pool, work);
  });
  return static_cast<double>(kPiece) / seconds / 1e9;
}

#if defined(__x86_64__)
// 24 independent chains: more than latency times the number of units.
double dot_peak() {
  if (!has_avx512_vnni()) return 0.0;
  constexpr int64_t kTurns = 200000;
  const double seconds = best_seconds([&](int) {
    int64_t turns = kTurns;
    asm volatile(
        "vpxorq %%zmm30, %%zmm30, %%zmm30\n\t"
        "1:\n\t"
        ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n\t"
        "vpdpbusd %%zmm30, %%zmm30, %%zmm\\n\n\t"
        ".endr\n\t"
        "dec %0\n\t"
        "jnz 1b\n\t"
        "vzeroupper"
        : "+r"(turns)
        :
        : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15");
  });
  return 128.0 * 24.0 * kTurns / seconds / 1e9;
}
#else
double dot_peak() { return 0.0; }
#endif

// Panels of the type up to `bytes`, all the same, in place of whatever `data` held.
int fill(DType type, uint8_t* data, int64_t bytes) {
  Random random{5};
  const std::vector<uint8_t> file = random_rows(type, kPanelRows, kCols, random);
  const int64_t panel = panel_bytes(type, kCols);
  const int count = static_cast<int>(bytes / panel);
  pack_panel(type, file.data(), row_bytes(type, kCols), kPanelRows, kCols, data);
  for (int index = 1; index < count; ++index) std::memcpy(data + index * panel, data, static_cast<size_t>(panel));
  return count;
}

double one_token(Matmul product, const uint8_t* data, int64_t panel, int count, const Inputs& x, float* y,
                 ThreadPool& pool) {
  const int panels = static_cast<int>(kPiece / panel);  // of a piece
  const uint8_t* piece = data;
  auto work = [&](int thread) {
    const Share share = share_of(panels, thread, pool.size);
    product(piece + share.begin * panel, share.end - share.begin, x, y + share.begin * kPanelRows, 0);
  };
  const double seconds = best_seconds([&](int turn) {
    piece = data + turn % (count / panels) * panels * panel;
    run(pool, work);
  });
  return static_cast<double>(panel) * panels / seconds / 1e9;
}

void measure(const IsaProducts& isa, int which, Buffer& memory, ThreadPool& one, ThreadPool& two, double peak) {
  const DType type = kTypes[which];
  const int64_t panel = panel_bytes(type, kCols);
  const int count = fill(type, memory.data, kLarge), near = static_cast<int>(kNear / panel);
  Random random{3};
  const Activations x(128, kCols, random);
  std::vector<float> y(static_cast<size_t>(count) * kPanelRows);
  const double large = one_token(isa.of[which], memory.data, panel, count, x.from(0, 1), y.data(), one);
  const double large_two = one_token(isa.of[which], memory.data, panel, count, x.from(0, 1), y.data(), two);
  const double cached = one_token(isa.of[which], memory.data, panel, near, x.from(0, 1), y.data(), one);
  const double cached_two = one_token(isa.of[which], memory.data, panel, near, x.from(0, 1), y.data(), two);
  std::printf("%-12s %-5s 1 GB %6.1f %6.1f   30 MB %6.1f %6.1f GB/s (1, 2 threads)  ", isa.name, name_of(type), large,
              large_two, cached, cached_two);
  constexpr int kPanels = 64;
  std::vector<float> many(128 * kPanels * kPanelRows);
  for (int tokens : {4, 128}) {
    const double seconds = best_seconds(
        [&](int) { isa.of[which](memory.data, kPanels, x.from(0, tokens), many.data(), kPanels * kPanelRows); });
    const double speed = 2.0 * kPanels * kPanelRows * kCols * tokens / seconds / 1e9;
    std::printf(" T %d: %6.0f Gop/s (%2.0f %%)", tokens, speed, peak > 0 ? 100 * speed / peak : 0.0);
  }
  std::printf("\n");
  std::fflush(stdout);
}

void measure_packing(DType type) {
  Random random{9};
  const std::vector<uint8_t> file = random_rows(type, kPanelRows, kCols, random);
  std::vector<uint8_t> panel(static_cast<size_t>(panel_bytes(type, kCols)));
  const double seconds = best_seconds([&](int) {
    for (int turn = 0; turn < 100; ++turn) {
      pack_panel(type, file.data(), row_bytes(type, kCols), kPanelRows, kCols, panel.data());
    }
  });
  std::printf("pack %-5s %5.1f GB/s\n", name_of(type), 100.0 * static_cast<double>(file.size()) / seconds / 1e9);
}

}  // namespace
}  // namespace dotori::test

int main(int count, char** arguments) {
  using namespace dotori;
  using namespace dotori::test;
  const std::string isa_name = count > 1 ? arguments[1] : "", type_name = count > 2 ? arguments[2] : "";
  Buffer memory(kLarge + 65536);
  std::memset(memory.data, 1, static_cast<size_t>(memory.bytes));
  ThreadPool one(1), two(2);
  const double peak = dot_peak();
  std::printf("reading 1 GB: %.1f, %.1f GB/s; 30 MB: %.1f, %.1f GB/s (1, 2 threads); dot products: %.0f Gop/s\n",
              read_bandwidth(memory.data, kLarge, one), read_bandwidth(memory.data, kLarge, two),
              read_bandwidth(memory.data, kNear, one), read_bandwidth(memory.data, kNear, two), peak);
  for (const IsaProducts& isa : runnable_products()) {
    if (isa_name.empty() ? std::string(isa.name) == "reference" : isa_name != isa.name) continue;
    for (int which = 0; which < kTypeCount; ++which) {
      if (type_name.empty() || type_name == name_of(kTypes[which])) measure(isa, which, memory, one, two, peak);
    }
  }
  for (DType type : kTypes) {
    if (isa_name.empty()) measure_packing(type);
  }
}
