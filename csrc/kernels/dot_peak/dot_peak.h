// How many int8 products this processor can do: independent dot products that never leave the registers.
#pragma once

#include <cstdint>

namespace dotori {

constexpr int64_t kDotPeakOperations = 12 * 64 * 2;  // of one round; a product and its addition are two

// Runs `rounds` rounds; returns a number that depends on all of them.
using DotPeak = int32_t (*)(int64_t rounds);

}  // namespace dotori
