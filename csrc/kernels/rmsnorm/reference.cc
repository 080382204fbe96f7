#include <cmath>

#include "kernels/rmsnorm/isa_table.h"

namespace dotori::reference {

void rmsnorm(const float* x, const float* gain, int cols, float eps, float* y) {
  double sum = 0.0;
  for (int i = 0; i < cols; ++i) sum += static_cast<double>(x[i]) * x[i];
  const double factor = 1.0 / std::sqrt(sum / cols + eps);
  for (int i = 0; i < cols; ++i) y[i] = static_cast<float>(x[i] * factor * gain[i]);
}

}  // namespace dotori::reference
