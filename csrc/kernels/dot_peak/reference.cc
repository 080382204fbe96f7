#include "kernels/dot_peak/isa_table.h"

namespace dotori::reference {

int32_t dot_peak(int64_t rounds) {
  uint32_t sum[12] = {};
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < 12; ++i) {
      for (int lane = 0; lane < 64; ++lane) sum[i] += static_cast<uint32_t>(lane * (4 * i + lane % 4 - 24));
    }
  }
  uint32_t total = 0;
  for (const uint32_t one : sum) total += one;
  return static_cast<int32_t>(total);
}

}  // namespace dotori::reference
