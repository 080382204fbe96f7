#include "kernels/attention/attention.h"

namespace dotori {

int64_t attention_scratch(int tokens, int group, int head_dim) {
  const int64_t rows = static_cast<int64_t>(tokens) * group;
  return (rows < kBlockRows ? rows : kBlockRows) * (2 * head_dim + kRowScratch);
}

}  // namespace dotori
