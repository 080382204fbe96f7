// The gated unit's middle: h = silu(gate) * up or relu(gate) * up, silu(x) = x / (1 + e^-x); and y += scale * x.
// Any count; numbers are finite.
#pragma once

namespace dotori {

// gate, up, h: (count) float32; h may be gate.
using GatedActivation = void (*)(const float* gate, const float* up, int count, float* h);

// y (count) += scale * x (count).
using AddScaled = void (*)(const float* x, float scale, int count, float* y);

}  // namespace dotori
