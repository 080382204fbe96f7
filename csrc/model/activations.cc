#include "model/activations.h"

#include <algorithm>

namespace dotori {
namespace {

RowBuffer take_rows(Arena& arena, int tokens, int cols) {
  const int64_t count = static_cast<int64_t>(tokens) * cols;
  const int blocks = (cols + 31) / 32;
  RowBuffer rows{};
  rows.values = arena.take<float>(count);
  rows.q = arena.take<int8_t>(static_cast<int64_t>(tokens) * blocks * 32);
  rows.scale = arena.take<float>(static_cast<int64_t>(tokens) * blocks);
  rows.sum = arena.take<int32_t>(static_cast<int64_t>(tokens) * blocks * 2);
  return rows;
}

void take_experts(Arena& arena, const ModelConfig& c, int threads, Activations& a) {
  const int hidden = padded(c.hidden_size), neurons = padded(c.expert_intermediate_size);
  a.router = arena.take<float>(static_cast<int64_t>(a.chunk) * padded(c.num_experts));
  const int64_t places = static_cast<int64_t>(a.chunk) * c.num_experts_used;
  a.chosen = arena.take<int32_t>(places + threads * c.num_experts_used);
  a.chosen_weight = arena.take<float>(places + threads * c.num_experts_used);
  a.gathered = take_rows(arena, a.chunk, c.hidden_size);
  a.hidden = take_rows(arena, a.chunk, neurons);
  const int64_t scratch = sparse_ffn_scratch(c.hidden_size, c.expert_intermediate_size);
  const int64_t panels = kPanelsTogether * panel_bytes(DType::Q8_0, std::max(hidden, neurons));
  for (int thread = 0; thread < threads; ++thread) {
    a.expert_order.push_back(arena.take<int32_t>(places));
    a.expert_begin.push_back(arena.take<int32_t>(c.num_experts + 1));
    a.expert_sum.push_back(arena.take<float>(static_cast<int64_t>(kSparseTokens) * hidden));
    a.expert_scratch.push_back(arena.take<float>(scratch));
    a.panels.push_back(arena.take<uint8_t>(panels));
    a.panel_output.push_back(arena.take<float>(static_cast<int64_t>(a.chunk) * kPanelsTogether * kPanelRows));
  }
}

Activations lay_out(const ModelConfig& c, int threads, Arena& arena) {
  Activations a;
  a.chunk = c.num_experts ? kLongestChunk : kDenseChunk;
  const int64_t tokens = a.chunk;
  const int hidden = padded(c.hidden_size), queries = padded(c.num_attention_heads * c.head_dim);
  const int keys = padded(c.num_key_value_heads * c.head_dim), group = c.num_attention_heads / c.num_key_value_heads;
  const int neurons = c.num_experts ? padded(c.expert_intermediate_size) : padded(c.intermediate_size);
  const int widest = std::max({c.hidden_size, c.num_attention_heads * c.head_dim, c.num_experts ? 0 : neurons});
  a.residual = arena.take<float>(tokens * c.hidden_size);
  a.rows = take_rows(arena, a.chunk, widest);
  a.q = arena.take<float>(tokens * queries);
  a.k = arena.take<float>(tokens * keys);
  a.v = arena.take<float>(tokens * keys);
  a.attended = arena.take<float>(tokens * queries);
  if (c.head_dim % kPanelRows) {
    a.padded_q = arena.take<float>(tokens * c.num_attention_heads * padded(c.head_dim));
    a.padded_attended = arena.take<float>(tokens * c.num_attention_heads * padded(c.head_dim));
  }
  a.gate = arena.take<float>(tokens * neurons);
  a.up = arena.take<float>(tokens * neurons);
  a.block = arena.take<float>(tokens * hidden);
  a.cosine = arena.take<float>(tokens * c.head_dim / 2);
  a.sine = arena.take<float>(tokens * c.head_dim / 2);
  a.lane = arena.take<int32_t>(tokens);
  a.last = take_rows(arena, kLogitRows, c.hidden_size);
  a.logits = arena.take<float>(static_cast<int64_t>(kLogitRows) * padded(c.vocab_size));
  for (int thread = 0; thread < threads; ++thread) {
    a.own_residual.push_back(arena.take<float>(c.hidden_size));
    a.own.push_back(take_rows(arena, 1, widest));
    a.attention_scratch.push_back(arena.take<float>(attention_scratch(a.chunk, group, padded(c.head_dim))));
  }
  if (c.num_experts) take_experts(arena, c, threads, a);
  return a;
}

}  // namespace

Activations make_activations(const ModelConfig& config, int threads) {
  Arena measured;
  lay_out(config, threads, measured);
  Buffer storage(measured.used);
  Arena arena{storage.data};
  Activations activations = lay_out(config, threads, arena);
  activations.storage = std::move(storage);
  return activations;
}

}  // namespace dotori
