// A model's weights in memory, laid out for the kernels, and the one way to reach them.
//
// Everything lies in one buffer. The file is read with pread into small per-thread windows and packed from there, so
// its own bytes are never held: peak memory is the packed weights (the file's size and a little padding).
#pragma once

#include <cstdint>
#include <vector>

#include "format/gguf.h"
#include "format/model_config.h"
#include "kernels/kernels.h"
#include "platform/buffer.h"
#include "platform/thread_pool.h"

namespace dotori {

// W (rows, cols) as panels of 16 rows.
struct Matrix {
  DType type = DType::F32;
  int rows = 0, cols = 0, panels = 0;
  int64_t bytes_per_panel = 0;
  const uint8_t* data = nullptr;
  Matmul matmul = nullptr;

  bool is_quantized() const { return block_size(type).weights > 1; }
  int64_t bytes() const { return panels * bytes_per_panel; }
};

struct Layer {
  const float* attn_norm;  // [D]
  const float* ffn_norm;   // [D]
  const float* q_norm;     // [H] or null
  const float* k_norm;     // [H] or null
  const float* q_bias;     // [N H] or null
  const float* k_bias;     // [K H] or null
  const float* v_bias;     // [K H] or null
  Matrix q, k, v, o;
  Matrix gate, up, down;  // dense layers
  Matrix router;          // [E, D], mixtures of experts
  bool takes_quantized_attention_input, takes_quantized_ffn_input;
};

// One expert. Sparse where its type allows it (Q4_0, Q8_0); `dense` otherwise.
struct Expert {
  bool is_resident;  // its bytes are in memory; set when they have been read
  bool is_sparse;
  SparseExpert sparse;
  Matrix gate, up, down;  // gate always; up and down when not sparse
};

struct Weights {
  Buffer storage;
  std::vector<Layer> layers;
  std::vector<Expert> experts;  // layer * num_experts + index; reach them through expert()
  int num_experts = 0;
  Matrix embedding, head;
  const float* output_norm = nullptr;
  const float* rope_freqs = nullptr;  // [H / 2] or null
};

// Reads and packs all of `file`, on all threads of the pool. Throws Error (a file cut short or changed meanwhile, too
// little memory, more than `memory_bytes` needed when that is positive).
Weights load_weights(const GgufFile& file, const ModelConfig& config, const Kernels& kernels, ThreadPool& pool,
                     int64_t memory_bytes);

// The experts' one door: whoever runs one asks here, and the answer says whether its bytes are in memory.
inline const Expert& expert(const Weights& weights, int layer, int index) {
  return weights.experts[static_cast<size_t>(layer) * weights.num_experts + index];
}

}  // namespace dotori
