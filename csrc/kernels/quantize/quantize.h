// Activations as int8, the form in which quantized weights meet them.
//
// Per block of 32, in float32, one rounding a step, so that every instruction set gives the same bits:
//
//     largest = max|x|
//     largest < kSmallestBlock:  scale = 0, all q = 0
//     otherwise:                 scale = largest / 127, q = round(x * (127 / largest)), ties to even
//
// sum holds the sum of each 16 q: kernels take the weights' offsets out of a product with it. x is finite.
#pragma once

#include <cstdint>

namespace dotori {

constexpr float kSmallestBlock = 0x1p-100f;  // below it 127 / largest could overflow

// x (cols) float32 -> q (cols), scale (cols / 32), sum (cols / 16); cols is a multiple of 32.
using Quantize = void (*)(const float* x, int cols, int8_t* q, float* scale, int32_t* sum);

}  // namespace dotori
