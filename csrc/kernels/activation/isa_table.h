// The op in every instruction set.
#pragma once

#include "kernels/activation/activation.h"

namespace dotori {
namespace reference {
void silu_mul(const float* gate, const float* up, int count, float* h);
void relu_mul(const float* gate, const float* up, int count, float* h);
void add_scaled(const float* x, float scale, int count, float* y);
}  // namespace reference
namespace avx2 {
void silu_mul(const float* gate, const float* up, int count, float* h);
void relu_mul(const float* gate, const float* up, int count, float* h);
void add_scaled(const float* x, float scale, int count, float* y);
}  // namespace avx2
namespace avx512_vnni {
void silu_mul(const float* gate, const float* up, int count, float* h);
void relu_mul(const float* gate, const float* up, int count, float* h);
void add_scaled(const float* x, float scale, int count, float* y);
}  // namespace avx512_vnni
namespace neon_dotprod {
void silu_mul(const float* gate, const float* up, int count, float* h);
void relu_mul(const float* gate, const float* up, int count, float* h);
void add_scaled(const float* x, float scale, int count, float* y);
}  // namespace neon_dotprod
}  // namespace dotori
