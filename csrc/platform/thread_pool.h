// Threads that run one function together and meet at barriers.
//
// A token takes hundreds of barriers, a few microseconds apart, so waiting threads spin; between calls they spin for a
// short while and then sleep. A spinning thread yields the core after some turns, at once where there are more threads
// than cores: that is slow, never stuck.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace dotori {

struct ThreadPool {
  // The caller of run() is thread 0; `threads` - 1 more are started.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size = 1;
  int spins = 0;  // turns of waiting before the core is yielded
  std::vector<std::thread> workers;
  void (*function)(void* context, int thread) = nullptr;
  void* context = nullptr;
  alignas(64) std::atomic<uint32_t> started{0};   // generations of run()
  alignas(64) std::atomic<int> unfinished{0};     // workers still in the current one
  alignas(64) std::atomic<int> arrived{0};        // at the current barrier
  alignas(64) std::atomic<uint32_t> passed{0};    // barriers so far
  std::atomic<bool> ending{false};
};

// Calls function(context, thread) on every thread; returns when all have. Not re-entrant; nothing may throw inside.
void run(ThreadPool& pool, void (*function)(void*, int), void* context);

// Within run(): returns when all threads have arrived.
void barrier(ThreadPool& pool);

// The same for a callable f(int thread).
template <typename F>
void run(ThreadPool& pool, F& f) {
  run(pool, [](void* context, int thread) { (*static_cast<F*>(context))(thread); }, &f);
}

// The part [begin, end) of `count` items that falls to a thread.
struct Share {
  int begin, end;
};
inline Share share_of(int count, int thread, int threads) {
  const int64_t whole = count;
  return {static_cast<int>(whole * thread / threads), static_cast<int>(whole * (thread + 1) / threads)};
}

}  // namespace dotori
