#include <cstdlib>
#include <string>

#include "kernels/activation/isa_table.h"
#include "kernels/attention/isa_table.h"
#include "kernels/dot_peak/isa_table.h"
#include "kernels/kernels.h"
#include "kernels/matmul/isa_table.h"
#include "kernels/quantize/isa_table.h"
#include "kernels/rmsnorm/isa_table.h"
#include "kernels/rope/isa_table.h"
#include "kernels/sparse_ffn/isa_table.h"
#include "platform/cpu_features.h"
#include "platform/error.h"

namespace dotori {
namespace {

constexpr Kernels kReference = {
    "reference",
    reference::matmul_f32,
    reference::matmul_f16,
    reference::matmul_bf16,
    reference::matmul_q8_0,
    reference::matmul_q4_0,
    reference::matmul_q4_k,
    reference::matmul_q6_k,
    reference::quantize,
    reference::rmsnorm,
    reference::rope,
    reference::silu_mul,
    reference::relu_mul,
    reference::add_scaled,
    reference::store_key_value,
    reference::attention,
    reference::sparse_ffn,
    reference::up_panels,
    reference::down_panels,
    reference::dot_peak,
};

#ifdef DOTORI_HAS_AVX2
constexpr Kernels kAvx2 = {
    "avx2",
    avx2::matmul_f32,
    avx2::matmul_f16,
    avx2::matmul_bf16,
    avx2::matmul_q8_0,
    avx2::matmul_q4_0,
    avx2::matmul_q4_k,
    avx2::matmul_q6_k,
    avx2::quantize,
    avx2::rmsnorm,
    avx2::rope,
    avx2::silu_mul,
    avx2::relu_mul,
    avx2::add_scaled,
    avx2::store_key_value,
    avx2::attention,
    avx2::sparse_ffn,
    avx2::up_panels,
    avx2::down_panels,
    avx2::dot_peak,
};
#endif

#ifdef DOTORI_HAS_AVX512_VNNI
constexpr Kernels kAvx512Vnni = {
    "avx512_vnni",
    avx512_vnni::matmul_f32,
    avx512_vnni::matmul_f16,
    avx512_vnni::matmul_bf16,
    avx512_vnni::matmul_q8_0,
    avx512_vnni::matmul_q4_0,
    avx512_vnni::matmul_q4_k,
    avx512_vnni::matmul_q6_k,
    avx512_vnni::quantize,
    avx512_vnni::rmsnorm,
    avx512_vnni::rope,
    avx512_vnni::silu_mul,
    avx512_vnni::relu_mul,
    avx512_vnni::add_scaled,
    avx512_vnni::store_key_value,
    avx512_vnni::attention,
    avx512_vnni::sparse_ffn,
    avx512_vnni::up_panels,
    avx512_vnni::down_panels,
    avx512_vnni::dot_peak,
};
#endif

#ifdef DOTORI_HAS_NEON_DOTPROD
constexpr Kernels kNeonDotprod = {
    "neon_dotprod",
    neon_dotprod::matmul_f32,
    neon_dotprod::matmul_f16,
    neon_dotprod::matmul_bf16,
    neon_dotprod::matmul_q8_0,
    neon_dotprod::matmul_q4_0,
    neon_dotprod::matmul_q4_k,
    neon_dotprod::matmul_q6_k,
    neon_dotprod::quantize,
    neon_dotprod::rmsnorm,
    neon_dotprod::rope,
    neon_dotprod::silu_mul,
    neon_dotprod::relu_mul,
    neon_dotprod::add_scaled,
    neon_dotprod::store_key_value,
    neon_dotprod::attention,
    neon_dotprod::sparse_ffn,
    neon_dotprod::up_panels,
    neon_dotprod::down_panels,
    neon_dotprod::dot_peak,
};
#endif

struct Runnable {
  const Kernels* items[4];
  int count = 0;
};

Runnable find_runnable() {
  Runnable found;
  found.items[found.count++] = &kReference;
#ifdef DOTORI_HAS_AVX2
  if (has_avx2()) found.items[found.count++] = &kAvx2;
#endif
#ifdef DOTORI_HAS_AVX512_VNNI
  if (has_avx512_vnni()) found.items[found.count++] = &kAvx512Vnni;
#endif
#ifdef DOTORI_HAS_NEON_DOTPROD
  if (has_neon_dotprod()) found.items[found.count++] = &kNeonDotprod;
#endif
  return found;
}

}  // namespace

KernelList runnable_kernels() {
  static const Runnable found = find_runnable();
  return {found.items, found.count};
}

const Kernels& choose_kernels() {
  const KernelList list = runnable_kernels();
  const char* wanted = std::getenv("DOTORI_ISA");
  if (!wanted || !*wanted) return *list.items[list.count - 1];
  std::string names;
  for (int index = 0; index < list.count; ++index) {
    if (list.items[index]->isa == std::string(wanted)) return *list.items[index];
    names += (index ? ", " : "") + std::string(list.items[index]->isa);
  }
  throw Error("DOTORI_ISA: " + std::string(wanted) + "; this processor runs " + names + "; correct it or unset it");
}

Matmul matmul_of(const Kernels& kernels, DType type) {
  switch (type) {
    case DType::F32: return kernels.f32;
    case DType::F16: return kernels.f16;
    case DType::BF16: return kernels.bf16;
    case DType::Q8_0: return kernels.q8_0;
    case DType::Q4_0: return kernels.q4_0;
    case DType::Q4_K: return kernels.q4_k;
    case DType::Q6_K: return kernels.q6_k;
  }
  return nullptr;
}

}  // namespace dotori
