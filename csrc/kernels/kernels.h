// The table of kernels of one instruction set; chosen once, when a model is opened.
#pragma once

#include "kernels/activation/activation.h"
#include "kernels/attention/attention.h"
#include "kernels/dot_peak/dot_peak.h"
#include "kernels/matmul/matmul.h"
#include "kernels/quantize/quantize.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/sparse_ffn/sparse_ffn.h"

namespace dotori {

struct Kernels {
  const char* isa;  // "reference", "avx2", "avx512_vnni", "neon_dotprod"
  Matmul f32, f16, bf16, q8_0, q4_0, q4_k, q6_k;
  Quantize quantize;
  RmsNorm rmsnorm;
  Rope rope;
  GatedActivation silu_mul, relu_mul;
  AddScaled add_scaled;
  StoreKeyValue store_key_value;
  Attention attention;
  SparseFfn sparse_ffn;
  SparsePanels up_panels, down_panels;
  DotPeak dot_peak;
};

// The matmul of a weight type.
Matmul matmul_of(const Kernels& kernels, DType type);

// Every table that was built and that this processor can run, the reference first, the fastest last.
struct KernelList {
  const Kernels* const* items;
  int count;
};
KernelList runnable_kernels();

// The fastest runnable table, or the one that the environment variable DOTORI_ISA names. Throws Error for a name that
// is unknown or cannot run here.
const Kernels& choose_kernels();

}  // namespace dotori
