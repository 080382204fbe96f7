#include "platform/thread_pool.h"

#include <sched.h>

namespace dotori {
namespace {

constexpr int kSpins = 4000;        // a few microseconds, longer than most waits at a barrier
constexpr int kIdleSpins = 60000;   // between two tokens, before the thread sleeps
constexpr int kTurnsPerYield = 64;  // of idle spinning, which must not keep a working thread from its core

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <typename Done>
void spin_until(const ThreadPool& pool, Done done) {
  for (int turn = 0; !done(); ++turn) {
    if (turn < pool.spins) {
      relax();
    } else {
      sched_yield();
    }
  }
}

void work(ThreadPool& pool, int thread) {
  uint32_t seen = 0;
  while (true) {
    for (int turn = 0; turn < kIdleSpins && pool.started.load(std::memory_order_acquire) == seen; ++turn) {
      relax();
      if (turn >= pool.spins && turn % kTurnsPerYield == 0) sched_yield();
    }
    pool.started.wait(seen, std::memory_order_acquire);
    ++seen;
    if (pool.ending.load(std::memory_order_relaxed)) return;
    pool.function(pool.context, thread);
    pool.unfinished.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace

ThreadPool::ThreadPool(int threads) : size(threads) {
  // On a shared core, spinning only keeps the awaited thread from running.
  spins = threads <= static_cast<int>(std::thread::hardware_concurrency()) ? kSpins : 0;
  for (int thread = 1; thread < threads; ++thread) {
    workers.emplace_back([this, thread] { work(*this, thread); });
  }
}

ThreadPool::~ThreadPool() {
  ending.store(true, std::memory_order_relaxed);
  started.fetch_add(1, std::memory_order_release);
  started.notify_all();
  for (std::thread& worker : workers) worker.join();
}

void run(ThreadPool& pool, void (*function)(void*, int), void* context) {
  pool.function = function;
  pool.context = context;
  pool.unfinished.store(pool.size - 1, std::memory_order_relaxed);
  pool.started.fetch_add(1, std::memory_order_release);
  pool.started.notify_all();
  function(context, 0);
  spin_until(pool, [&] { return pool.unfinished.load(std::memory_order_acquire) == 0; });
}

void barrier(ThreadPool& pool) {
  const uint32_t generation = pool.passed.load(std::memory_order_relaxed);
  if (pool.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == pool.size) {
    pool.arrived.store(0, std::memory_order_relaxed);
    pool.passed.fetch_add(1, std::memory_order_release);
    return;
  }
  spin_until(pool, [&] { return pool.passed.load(std::memory_order_acquire) != generation; });
}

}  // namespace dotori
