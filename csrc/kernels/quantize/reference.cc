#include <cmath>

#include "kernels/quantize/isa_table.h"

namespace dotori::reference {

void quantize(const float* x, int cols, int8_t* q, float* scale, int32_t* sum) {
  for (int column = 0; column < cols; column += 32) {
    float largest = 0.0f;
    for (int i = column; i < column + 32; ++i) largest = std::fmax(largest, std::fabs(x[i]));
    const bool zero = largest < kSmallestBlock;
    const float inverse = zero ? 0.0f : 127.0f / largest;
    scale[column / 32] = zero ? 0.0f : largest / 127.0f;
    sum[column / 16] = sum[column / 16 + 1] = 0;
    for (int i = column; i < column + 32; ++i) {
      q[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
      sum[i / 16] += q[i];
    }
  }
}

}  // namespace dotori::reference
