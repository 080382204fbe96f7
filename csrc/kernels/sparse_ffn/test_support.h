// What the test and the benchmark of sparse experts share: the functions that this processor runs, and inputs whose
// sign is known, so that the sign of a gate's weights decides whether a neuron is on.
#pragma once

#include "kernels/matmul/test_support.h"
#include "kernels/sparse_ffn/isa_table.h"

namespace dotori::test {

struct IsaSparse {
  const char* name;
  SparseFfn function;
  SparsePanels up_panels, down_panels;
};

inline std::vector<IsaSparse> runnable_sparse() {
  std::vector<IsaSparse> found = {{"reference", reference::sparse_ffn, reference::up_panels, reference::down_panels}};
#ifdef DOTORI_HAS_AVX2
  if (has_avx2()) {
    found.push_back({"avx2", avx2::sparse_ffn, avx2::up_panels, avx2::down_panels});
  }
#endif
#ifdef DOTORI_HAS_AVX512_VNNI
  if (has_avx512_vnni()) {
    found.push_back({"avx512_vnni", avx512_vnni::sparse_ffn, avx512_vnni::up_panels, avx512_vnni::down_panels});
  }
#endif
#ifdef DOTORI_HAS_NEON_DOTPROD
  if (has_neon_dotprod()) {
    found.push_back({"neon_dotprod", neon_dotprod::sparse_ffn, neon_dotprod::up_panels, neon_dotprod::down_panels});
  }
#endif
  return found;
}

// One token whose values are all positive.
struct PositiveInput {
  std::vector<float> values, scale;
  std::vector<int8_t> q;
  std::vector<int32_t> sum;

  PositiveInput(int cols, Random& random)
      : values(static_cast<size_t>(cols)), scale(values.size() / 32), q(values.size()), sum(values.size() / 16) {
    for (float& value : values) value = 1.0f + 0.7f * random.uniform();
    reference::quantize(values.data(), cols, q.data(), scale.data(), sum.data());
  }
  Inputs inputs() const {
    return {values.data(), q.data(), scale.data(), sum.data(), 1, static_cast<int>(values.size())};
  }
};

}  // namespace dotori::test
