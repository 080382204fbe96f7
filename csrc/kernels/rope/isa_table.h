// The op in every instruction set.
#pragma once

#include "kernels/rope/rope.h"

namespace dotori {
namespace reference {
void rope(float* x, int head_dim, const float* cosine, const float* sine, bool neighbours);
}  // namespace reference
namespace avx2 {
void rope(float* x, int head_dim, const float* cosine, const float* sine, bool neighbours);
}  // namespace avx2
namespace avx512_vnni {
void rope(float* x, int head_dim, const float* cosine, const float* sine, bool neighbours);
}  // namespace avx512_vnni
namespace neon_dotprod {
void rope(float* x, int head_dim, const float* cosine, const float* sine, bool neighbours);
}  // namespace neon_dotprod
}  // namespace dotori
