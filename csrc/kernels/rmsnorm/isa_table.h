// The op in every instruction set.
#pragma once

#include "kernels/rmsnorm/rmsnorm.h"

namespace dotori {
namespace reference {
void rmsnorm(const float* x, const float* gain, int cols, float eps, float* y);
}  // namespace reference
namespace avx2 {
void rmsnorm(const float* x, const float* gain, int cols, float eps, float* y);
}  // namespace avx2
namespace avx512_vnni {
void rmsnorm(const float* x, const float* gain, int cols, float eps, float* y);
}  // namespace avx512_vnni
namespace neon_dotprod {
void rmsnorm(const float* x, const float* gain, int cols, float eps, float* y);
}  // namespace neon_dotprod
}  // namespace dotori
