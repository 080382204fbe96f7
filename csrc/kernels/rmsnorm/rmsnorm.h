// RMSNorm of one row: y = x / sqrt(mean(x^2) + eps) * gain.
#pragma once

namespace dotori {

// x, gain, y: (cols) float32; y may be x. Any cols; sums are float32 in 64 lanes, so x^2
// has to stay within float32.
using RmsNorm = void (*)(const float* x, const float* gain, int cols, float eps, float* y);

}  // namespace dotori
