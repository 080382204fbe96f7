#include "kernels/rope/isa_table.h"

namespace dotori::reference {

void rope(float* x, int head_dim, const float* cosine, const float* sine, bool neighbours) {
  for (int i = 0; i < head_dim / 2; ++i) {
    float& first = neighbours ? x[2 * i] : x[i];
    float& second = neighbours ? x[2 * i + 1] : x[i + head_dim / 2];
    const double a = first, b = second, c = cosine[i], s = sine[i];
    first = static_cast<float>(a * c - b * s);
    second = static_cast<float>(b * c + a * s);
  }
}

}  // namespace dotori::reference
