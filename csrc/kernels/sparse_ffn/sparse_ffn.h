// One ReGLU expert for one token, touching only what its active neurons need.
//
//     g = gate x;   active j: g[j] > 0;   h[j] = g[j] * (up[j] . x);   out += weight * sum_j h[j] down[:, j]
//
// Letters: D hidden size, F neurons (a multiple of 32). The gate lies as panels (kernels/matmul), `up` and `down` by
// neuron, so one that is off costs no bytes; layouts.h beside this file draws them. Q4_0 and Q8_0.
//
// h meets `down` as int8, in blocks of 32 neurons as quantize() makes them: the rounding of a dense product. All
// vector instruction sets give the same bits, and so do the whole and its ranges added one after another.
#pragma once

#include <cstdint>

#include "kernels/matmul/matmul.h"
#include "platform/dtype.h"

namespace dotori {

struct SparseExpert {
  DType type;             // of all three
  const uint8_t* gate;    // F / 16 panels of D columns
  const uint8_t* groups;  // F / 32 groups of 32 neurons' up and down, neuron_group_bytes(type, D) each
  int hidden_size;        // D, a multiple of 64
  int neurons;            // F
};

int64_t neuron_group_bytes(DType type, int64_t hidden_size);

// One row of an up matrix, as a GGUF file has it: neuron `neuron` of the expert whose groups are given.
void pack_up(DType type, const uint8_t* row, int neuron, int64_t hidden_size, uint8_t* groups);

// 32 neurons (columns 32 b .. 32 b + 31) of a down matrix: `rows` are all D rows of the file, `row_stride` bytes apart.
void pack_down(DType type, const uint8_t* rows, int64_t row_stride, int block, int64_t hidden_size, uint8_t* groups);

// Panels (kernels/matmul) made from the sparse layouts, for prefill, where most neurons are active for some token.
// up: rows 16 p .. 16 p + 15. down: output rows 16 p .. 16 p + 15, all F columns. Plain forms of one panel; up_panel
// begins with block `first_block`.
void up_panel(const SparseExpert& expert, int panel, int first_block, uint8_t* out);
void down_panel(const SparseExpert& expert, int panel, uint8_t* out);

// The same of panels first .. first + count - 1, one behind the other. Of down, first is a multiple of kPanelsTogether:
// so many panels come from the same bytes.
using SparsePanels = void (*)(const SparseExpert& expert, int first, int count, uint8_t* out);
constexpr int kPanelsTogether = 8;

// Neurons [begin, end), multiples of 32. x: one token (T = 1), quantized. out (D) float32 is added to. scratch:
// sparse_ffn_scratch floats. next: what will be read afterwards, or null; its first kilobytes are asked for. Returns
// the number of active neurons in the range.
using SparseFfn = int (*)(const SparseExpert& expert, int begin, int end, const Inputs& x, float weight, float* out,
                          float* scratch, const uint8_t* next);
int64_t sparse_ffn_scratch(int hidden_size, int neurons);

}  // namespace dotori
