#include "session/measure.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "kernels/kernels.h"
#include "platform/buffer.h"
#include "platform/thread_pool.h"

namespace dotori {
namespace {

constexpr int kPasses = 6;

template <typename F>
double seconds(F f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

uint64_t sum(const uint64_t* words, int64_t count) {
  uint64_t sums[16] = {};
  for (int64_t at = 0; at < count; at += 16) {
    for (int i = 0; i < 16; ++i) sums[i] += words[at + i];
  }
  uint64_t total = 0;
  for (const uint64_t one : sums) total += one;
  return total;
}

}  // namespace

double measure_bandwidth(int threads, int64_t bytes) {
  constexpr int64_t kChunk = 1 << 20;
  ThreadPool pool(threads);
  const Buffer buffer(std::max<int64_t>(bytes / kChunk, 1) * kChunk);
  const int chunks = static_cast<int>(buffer.bytes / kChunk);
  auto fill = [&](int thread) {
    const Share share = share_of(chunks, thread, threads);
    std::memset(buffer.data + share.begin * kChunk, 1, (share.end - share.begin) * kChunk);
  };
  run(pool, fill);
  std::atomic<uint64_t> total{0};
  auto read = [&](int thread) {
    const Share share = share_of(chunks, thread, threads);
    total += sum(reinterpret_cast<const uint64_t*>(buffer.data + share.begin * kChunk),
                 (share.end - share.begin) * kChunk / 8);
  };
  double best = 1e30;
  for (int pass = 0; pass < kPasses; ++pass) best = std::min(best, seconds([&] { run(pool, read); }));
  return static_cast<double>(buffer.bytes) / best;
}

double measure_dot_products(int threads) {
  ThreadPool pool(threads);
  const DotPeak peak = choose_kernels().dot_peak;
  std::atomic<int32_t> total{0};
  int64_t rounds = 1000;
  auto multiply = [&](int) { total += peak(rounds); };
  while (seconds([&] { run(pool, multiply); }) < 0.02) rounds *= 2;
  double best = 1e30;
  for (int pass = 0; pass < kPasses; ++pass) best = std::min(best, seconds([&] { run(pool, multiply); }));
  return static_cast<double>(rounds * threads * kDotPeakOperations) / best;
}

}  // namespace dotori
