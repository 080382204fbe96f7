// Runs, barriers and shares, many times over: thread_pool_test [ROUNDS], 10,000 unless told.
#include "platform/thread_pool.h"

#include <climits>
#include <cstdlib>

#include "tests/check.h"

namespace dotori::test {
namespace {

// Each thread's own cache line. Plain integers: run() and barrier() alone make them safe to read.
struct alignas(64) Slot {
  int64_t value = 0;
};

// Every thread is called once a run, and what it wrote is seen after the run.
void check_runs(int threads, int rounds) {
  ThreadPool pool(threads);
  std::vector<Slot> slots(threads);
  int64_t input = 0;
  auto work = [&](int thread) { slots[thread].value += input; };
  int64_t expected = 0;
  for (int round = 1; round <= rounds; ++round) {
    input = round;
    expected += round;
    run(pool, work);
    for (const Slot& slot : slots) {
      CHECK(slot.value == expected, "%d threads, run %d: %lld", threads, round, static_cast<long long>(slot.value));
    }
  }
}

// What every thread wrote before a barrier is seen by all after it, and nobody writes again before all have read.
void check_barriers(int threads, int rounds) {
  ThreadPool pool(threads);
  std::vector<Slot> slots(threads), wrong(threads);
  auto work = [&](int thread) {
    for (int round = 0; round < rounds; ++round) {
      slots[thread].value = round * static_cast<int64_t>(thread + 1);
      barrier(pool);
      for (int other = 0; other < threads; ++other) {
        wrong[thread].value += slots[other].value != round * static_cast<int64_t>(other + 1);
      }
      barrier(pool);
    }
  };
  run(pool, work);
  for (int thread = 0; thread < threads; ++thread) {
    CHECK(wrong[thread].value == 0, "%d threads: thread %d read %lld stale values", threads, thread,
          static_cast<long long>(wrong[thread].value));
  }
}

void check_shares() {
  for (const int threads : {1, 2, 3, 8, 64}) {
    for (const int count : {0, 1, 2, 3, 7, 63, 64, 65, 1000, INT_MAX}) {
      int end = 0;
      for (int thread = 0; thread < threads; ++thread) {
        const Share share = share_of(count, thread, threads);
        CHECK(share.begin == end && share.end >= share.begin, "%d of %d: [%d, %d) after %d", thread, threads,
              share.begin, share.end, end);
        const int size = share.end - share.begin;
        CHECK(size == count / threads || size - 1 == count / threads, "%d items, %d threads: %d", count, threads, size);
        end = share.end;
      }
      CHECK(end == count, "%d items, %d threads: %d dealt out", count, threads, end);
    }
  }
}

// Pools that never run, and that end while their threads still look for work.
void check_ends() {
  for (int round = 0; round < 50; ++round) {
    ThreadPool pool(1 + round % 4);
    if (round % 2) continue;
    auto nothing = [](int) {};
    run(pool, nothing);
  }
}

}  // namespace
}  // namespace dotori::test

int main(int count, char** words) {
  const int rounds = count > 1 ? std::atoi(words[1]) : 10000;
  dotori::test::check_shares();
  dotori::test::check_ends();
  for (const int threads : {1, 2, 3, 8}) {
    dotori::test::check_runs(threads, rounds);
    dotori::test::check_barriers(threads, rounds);
  }
  return dotori::test::report("thread_pool_test");
}
