#include <cmath>

#include "kernels/activation/isa_table.h"

namespace dotori::reference {

void silu_mul(const float* gate, const float* up, int count, float* h) {
  for (int i = 0; i < count; ++i) {
    const double g = gate[i];
    h[i] = static_cast<float>(g / (1.0 + std::exp(-g)) * up[i]);
  }
}

void relu_mul(const float* gate, const float* up, int count, float* h) {
  for (int i = 0; i < count; ++i) h[i] = (gate[i] > 0.0f ? gate[i] : 0.0f) * up[i];
}

void add_scaled(const float* x, float scale, int count, float* y) {
  for (int i = 0; i < count; ++i) y[i] = std::fma(x[i], scale, y[i]);
}

}  // namespace dotori::reference
