// Every scratch buffer of a forward pass, sized once for the longest chunk: nothing is allocated per token.
//
// A single token is so little work that each thread prepares its own copy of a matrix's inputs rather than waiting for
// another thread to do it: `own` holds one row per thread. Longer chunks share `rows`, each thread preparing some.
#pragma once

#include <cstdint>
#include <vector>

#include "format/model_config.h"
#include "kernels/kernels.h"
#include "platform/buffer.h"

namespace dotori {

constexpr int kLongestChunk = 512;  // tokens of one pass through a mixture of experts; dense models take kDenseChunk
constexpr int kDenseChunk = 128;
constexpr int kLogitRows = 8;       // positions whose logits are made together
constexpr int kSparseTokens = 8;    // up to so many tokens experts skip inactive neurons; beyond, nearly all are active

// T rows of inputs: float32 and, beside, int8 with scales and sums.
struct RowBuffer {
  float* values;
  int8_t* q;
  float* scale;
  int32_t* sum;
};

struct Activations {
  Buffer storage;
  int chunk = 0;                     // most tokens of a pass
  float* residual = nullptr;         // [T, D], the stream that every block adds to
  RowBuffer rows{};                  // [T, widest]: normed inputs, attention's outputs, h
  std::vector<float*> own_residual;  // thread -> [D]
  std::vector<RowBuffer> own;        // thread -> one row
  float* q = nullptr;                // [T, N H]
  float* k = nullptr;                // [T, K H]
  float* v = nullptr;                // [T, K H]
  float* attended = nullptr;         // [T, N H]
  float* padded_q = nullptr;         // [T, N, H rounded up to 16], only for other head sizes; and as attended
  float* padded_attended = nullptr;
  float* gate = nullptr;             // [T, F], then h
  float* up = nullptr;               // [T, F]
  float* block = nullptr;            // [T, D], a block's output before it joins the stream
  float* cosine = nullptr;           // [T, H / 2]
  float* sine = nullptr;             // [T, H / 2]
  std::vector<float*> attention_scratch;
  float* router = nullptr;             // [T, E]
  int32_t* chosen = nullptr;           // [T + threads, num_experts_used]; of a single token each thread has its row
  float* chosen_weight = nullptr;      // the same shape
  std::vector<int32_t*> expert_order;  // thread -> [T num_experts_used] places in `chosen`, by expert
  std::vector<int32_t*> expert_begin;  // thread -> [E + 1]
  std::vector<float*> expert_sum;      // thread -> [kSparseTokens, D]
  std::vector<float*> expert_scratch;  // thread -> sparse_ffn_scratch
  std::vector<uint8_t*> panels;        // thread -> kPanelsTogether repacked panels
  std::vector<float*> panel_output;    // thread -> [T, 16 kPanelsTogether]
  RowBuffer gathered{};                // [T, D] inputs of one expert
  RowBuffer hidden{};                  // [T, F] h of one expert
  int32_t* lane = nullptr;             // [T] which text a token belongs to
  RowBuffer last{};                    // [kLogitRows, D] after the final norm
  float* logits = nullptr;             // [kLogitRows, V rounded up to 16]
};

// Throws Error for too little memory.
Activations make_activations(const ModelConfig& config, int threads);

inline int panels_of(int rows) { return (rows + kPanelRows - 1) / kPanelRows; }
inline int padded(int rows) { return panels_of(rows) * kPanelRows; }

}  // namespace dotori
