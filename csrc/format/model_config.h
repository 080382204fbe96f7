// The shape of a decoder, from a GGUF file's metadata, and the check that the file's tensors are that decoder's.
#pragma once

#include "format/gguf.h"

namespace dotori {

enum class Architecture { llama, qwen2, qwen3, granite, minicpm, smallthinker };

// RMSNorm before each block, grouped-query attention with RoPE, gated SiLU; smallthinker has ReGLU experts instead.
// Sizes are 1 to 2^31 - 1, and so are heads * head_dim; floats are finite and positive.
struct ModelConfig {
  Architecture arch = Architecture::llama;
  int vocab_size = 0;
  int hidden_size = 0;
  int intermediate_size = 0;  // of a dense layer, 0 with experts
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;  // divides num_attention_heads
  int head_dim = 0;             // even; a multiple of 16 beyond 256
  int context_length = 0;       // that the model was trained for

  float rope_theta = 10000.0f;
  float rope_scale = 1.0f;       // positions are divided by it
  bool rope_neighbours = false;  // RoPE turns (2i, 2i+1), else (i, i + head_dim/2)
  bool has_rope_freqs = false;   // rope_freqs.weight: frequencies are divided by it
  float rms_norm_eps = 1e-6f;
  float embedding_multiplier = 1.0f;
  float residual_multiplier = 1.0f;  // of every block's output
  float logits_scaling = 1.0f;       // logits are divided by it
  float softmax_scale = 1.0f;        // attention scores are multiplied by it
  bool tied = false;                 // the embedding is the head
  bool attention_bias = false;       // of q, k and v
  bool qk_norm = false;

  int num_experts = 0;  // 0: dense
  int num_experts_used = 0;
  int expert_intermediate_size = 0;
  bool sigmoid_router = false;  // else softmax

  int sliding_window = 0;  // 0: every layer sees all positions
  int no_rope_period = 0;  // p > 0: layers 0, p, 2p ... see all positions without RoPE, others the window with RoPE

  int bos = -1, eos = -1;  // token ids, -1 for none
};

const char* name_of(Architecture arch);

// Throws Error for a key that is missing, of the wrong kind, out of range or not supported.
ModelConfig read_config(const GgufFile& file);

// Throws Error unless every tensor of the architecture is there with its shape, and no other.
void check_tensors(const GgufFile& file, const ModelConfig& config);

}  // namespace dotori
