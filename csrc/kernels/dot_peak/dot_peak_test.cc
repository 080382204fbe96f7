// Every instruction set does the work it is measured by: the sums are those of the reference, wrapped ones too.
#include <initializer_list>

#include "kernels/kernels.h"
#include "tests/check.h"

int main() {
  using namespace dotori;
  const KernelList list = runnable_kernels();
  for (const int64_t rounds : {0, 1, 2, 1000, 100000}) {
    const int32_t want = list.items[0]->dot_peak(rounds);
    for (int i = 1; i < list.count; ++i) {
      const int32_t got = list.items[i]->dot_peak(rounds);
      CHECK(got == want, "%s, %d rounds: %d, not %d", list.items[i]->isa, static_cast<int>(rounds), got, want);
    }
  }
  return test::report("dot_peak_test");
}
