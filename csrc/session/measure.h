// The machine's limits, measured: what the speed of a model is compared with.
#pragma once

#include <cstdint>

namespace dotori {

// Bytes a second that `threads` threads read together from memory; the best of several passes over `bytes` bytes, which
// should be many times the caches. Throws Error for too little memory.
double measure_bandwidth(int threads, int64_t bytes);

// Operations a second (a product and its addition are two) of int8 dot products with the kernels in use.
double measure_dot_products(int threads);

}  // namespace dotori
