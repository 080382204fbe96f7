// The op in every instruction set.
#pragma once

#include "kernels/attention/attention.h"

namespace dotori {
namespace reference {
void store_key_value(const KeyValues& cache, int position, const float* key, const float* value);
void attention(const KeyValues& cache, const Queries& queries, float* scratch);
}  // namespace reference
namespace avx2 {
void store_key_value(const KeyValues& cache, int position, const float* key, const float* value);
void attention(const KeyValues& cache, const Queries& queries, float* scratch);
}  // namespace avx2
namespace avx512_vnni {
void store_key_value(const KeyValues& cache, int position, const float* key, const float* value);
void attention(const KeyValues& cache, const Queries& queries, float* scratch);
}  // namespace avx512_vnni
namespace neon_dotprod {
void store_key_value(const KeyValues& cache, int position, const float* key, const float* value);
void attention(const KeyValues& cache, const Queries& queries, float* scratch);
}  // namespace neon_dotprod
}  // namespace dotori
