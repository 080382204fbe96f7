#include "model/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/worker.h"

namespace dotori {
namespace {

constexpr int kLargestPaddedHead = 256;  // of heads that are no multiple of 16
constexpr int kAttentionBlock = 16;  // tokens of a prefill that one thread attends with at a time

void embed(Worker& w) {
  const Pass& p = w.pass;
  const Matrix& table = p.weights.embedding;
  for (int t = w.begin; t < w.end; ++t) {
    const int row = p.tokens[t];
    float* x = w.residual + static_cast<int64_t>(t) * p.config.hidden_size;
    unpack_row(table.type, table.data + row / kPanelRows * table.bytes_per_panel, row % kPanelRows, table.cols, x);
    for (int d = 0; d < table.cols; ++d) x[d] *= p.config.embedding_multiplier;
  }
}

void rotation_angles(Worker& w) {
  const Pass& p = w.pass;
  if (is_single(w) && w.thread != 0) return;
  const int half = p.config.head_dim / 2;
  for (int t = w.begin; t < w.end; ++t) {
    for (int i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position_of(p, t)) * p.inverse_frequencies[i];
      p.activations.cosine[t * half + i] = std::cos(angle);
      p.activations.sine[t * half + i] = std::sin(angle);
    }
  }
}

// Inputs of the next products: the stream, normed.
void normalise(Worker& w, const float* gain, bool quantized) {
  const Pass& p = w.pass;
  const int cols = p.config.hidden_size;
  for (int t = w.begin; t < w.end; ++t) {
    const int64_t at = static_cast<int64_t>(t) * cols;
    p.kernels.rmsnorm(w.residual + at, gain, cols, p.config.rms_norm_eps, w.rows.values + at);
    if (quantized) quantize_row(p.kernels, w.rows, t, cols);
  }
  sync_rows(w);
}

// Inputs of the next product: rows of `source`, `stride` apart.
void take_inputs(Worker& w, const float* source, int64_t stride, int cols, bool quantized) {
  const Pass& p = w.pass;
  for (int t = w.begin; t < w.end; ++t) {
    const int64_t at = static_cast<int64_t>(t) * cols;
    std::memcpy(w.rows.values + at, source + t * stride, sizeof(float) * cols);
    if (quantized) quantize_row(p.kernels, w.rows, t, cols);
  }
  sync_rows(w);
}

void add_bias(float* x, const float* bias, int count) {
  if (!bias) return;
  for (int i = 0; i < count; ++i) x[i] += bias[i];
}

// One head's query or key: norm, then rotation, where the model has them.
void finish_head(const Pass& p, float* x, const float* gain, int token, bool rotates) {
  const int size = p.config.head_dim, half = size / 2;
  if (gain) p.kernels.rmsnorm(x, gain, size, p.config.rms_norm_eps, x);
  if (!rotates) return;
  p.kernels.rope(x, size, p.activations.cosine + token * half, p.activations.sine + token * half,
                 p.config.rope_neighbours);
}

void copy_padded(const float* from, int count, float* to, int whole) {
  std::memcpy(to, from, sizeof(float) * count);
  std::memset(to + count, 0, sizeof(float) * (whole - count));
}

// Finishes token t's queries, key and value of one key/value head and puts key and value into the cache.
void store_head(const Pass& p, int layer, int head, int t) {
  const ModelConfig& c = p.config;
  const Layer& l = p.weights.layers[layer];
  const int size = c.head_dim, group = c.num_attention_heads / c.num_key_value_heads;
  const bool rotates = has_rope(c, layer);
  float* q = p.activations.q + static_cast<int64_t>(t) * c.num_attention_heads * size + head * group * size;
  const int64_t at = static_cast<int64_t>(t) * c.num_key_value_heads * size + head * size;
  float *k = p.activations.k + at, *v = p.activations.v + at;
  add_bias(q, l.q_bias ? l.q_bias + head * group * size : nullptr, group * size);
  add_bias(k, l.k_bias ? l.k_bias + head * size : nullptr, size);
  add_bias(v, l.v_bias ? l.v_bias + head * size : nullptr, size);
  for (int g = 0; g < group; ++g) finish_head(p, q + g * size, l.q_norm, t, rotates);
  finish_head(p, k, l.k_norm, t, rotates);
  const KeyValues& cache = lane_of(p, t).cache->heads[layer * c.num_key_value_heads + head];
  if (!p.activations.padded_q) return p.kernels.store_key_value(cache, position_of(p, t), k, v);
  // The cache keeps heads in whole vectors; zeros beyond a head's end change no product.
  const int whole = cache.head_dim;
  float* target = p.activations.padded_q + (static_cast<int64_t>(t) * c.num_attention_heads + head * group) * whole;
  for (int g = 0; g < group; ++g) copy_padded(q + g * size, size, target + g * whole, whole);
  float key[kLargestPaddedHead], value[kLargestPaddedHead];
  copy_padded(k, size, key, whole);
  copy_padded(v, size, value, whole);
  p.kernels.store_key_value(cache, position_of(p, t), key, value);
}

// `tokens` of one lane, from token `first` on.
void attend_head(const Pass& p, int thread, int layer, int head, int first, int tokens) {
  const ModelConfig& c = p.config;
  const KeyValues& cache = lane_of(p, first).cache->heads[layer * c.num_key_value_heads + head];
  Activations& a = p.activations;
  const int group = c.num_attention_heads / c.num_key_value_heads;
  const int64_t stride = static_cast<int64_t>(c.num_attention_heads) * cache.head_dim;
  const int64_t at = first * stride + head * group * cache.head_dim;
  Queries queries{};
  queries.q = (a.padded_q ? a.padded_q : a.q) + at;
  queries.out = (a.padded_q ? a.padded_attended : a.attended) + at;
  queries.q_stride = queries.out_stride = stride;
  queries.tokens = tokens;
  queries.group = group;
  queries.first_position = position_of(p, first);
  queries.window = has_window(c, layer) ? c.sliding_window : 0;
  queries.scale = c.softmax_scale;
  p.kernels.attention(cache, queries, a.attention_scratch[thread]);
  if (!a.padded_q) return;
  for (int t = first; t < first + tokens; ++t) {
    for (int g = head * group; g < (head + 1) * group; ++g) {
      const int64_t row = static_cast<int64_t>(t) * c.num_attention_heads + g;
      std::memcpy(a.attended + row * c.head_dim, a.padded_attended + row * cache.head_dim, sizeof(float) * c.head_dim);
    }
  }
}

void attend(Worker& w, int layer) {
  const Pass& p = w.pass;
  const int heads = p.config.num_key_value_heads;
  if (is_single(w)) {
    // A head's key and value are stored by the thread that attends with it: no need to meet in between.
    const Share share = share_of(heads, w.thread, p.pool.size);
    for (int head = share.begin; head < share.end; ++head) {
      store_head(p, layer, head, 0);
      attend_head(p, w.thread, layer, head, 0, 1);
    }
    return;
  }
  for (int t = w.begin; t < w.end; ++t) {
    for (int head = 0; head < heads; ++head) store_head(p, layer, head, t);
  }
  barrier(p.pool);
  // Later tokens see more: dealing blocks out in turns keeps the shares even.
  int turn = 0;
  for (const Lane& lane : p.lanes) {
    for (int first = lane.first; first < lane.first + lane.count; first += kAttentionBlock) {
      const int tokens = std::min(kAttentionBlock, lane.first + lane.count - first);
      for (int head = 0; head < heads; ++head, ++turn) {
        if (turn % p.pool.size == w.thread) attend_head(p, w.thread, layer, head, first, tokens);
      }
    }
  }
}

void attention_block(Worker& w, int layer) {
  Pass& p = w.pass;
  const ModelConfig& c = p.config;
  const Layer& l = p.weights.layers[layer];
  Activations& a = p.activations;
  const int64_t queries = static_cast<int64_t>(c.num_attention_heads) * c.head_dim;
  const int64_t keys = static_cast<int64_t>(c.num_key_value_heads) * c.head_dim;
  normalise(w, l.attn_norm, l.takes_quantized_attention_input);
  mark(w, Profile::Rest);
  const Inputs x = inputs_of(w.rows, 0, p.count, c.hidden_size);
  if (c.num_experts) {
    // The router reads the stream as it enters the layer, before any norm (SmallThinker, arXiv 2507.20984).
    const Inputs raw{w.residual, nullptr, nullptr, nullptr, p.count, c.hidden_size};
    multiply(w, {{l.router, raw, a.router, padded(c.num_experts)},
                 {l.q, x, a.q, queries},
                 {l.k, x, a.k, keys},
                 {l.v, x, a.v, keys}});
  } else {
    multiply(w, {{l.q, x, a.q, queries}, {l.k, x, a.k, keys}, {l.v, x, a.v, keys}});
  }
  barrier(p.pool);
  mark(w, Profile::Qkv);
  attend(w, layer);
  barrier(p.pool);
  mark(w, Profile::AttentionOp);
  take_inputs(w, a.attended, queries, static_cast<int>(queries), l.o.is_quantized());
  multiply(w, {{l.o, inputs_of(w.rows, 0, p.count, static_cast<int>(queries)), a.block, padded(c.hidden_size)}});
  barrier(p.pool);
  add_block(w);
  mark(w, Profile::Output);
}

void dense_block(Worker& w, int layer) {
  Pass& p = w.pass;
  const ModelConfig& c = p.config;
  const Layer& l = p.weights.layers[layer];
  Activations& a = p.activations;
  const int64_t stride = padded(c.intermediate_size);
  normalise(w, l.ffn_norm, l.takes_quantized_ffn_input);
  mark(w, Profile::Rest);
  const Inputs x = inputs_of(w.rows, 0, p.count, c.hidden_size);
  // Gate and up of the same neurons fall to the same thread, which can then finish them.
  const Share share = share_of(l.gate.panels, w.thread, p.pool.size);
  const int count = share.end - share.begin, from = share.begin * kPanelRows;
  if (count > 0) {
    l.gate.matmul(l.gate.data + share.begin * l.gate.bytes_per_panel, count, x, a.gate + from, stride);
    l.up.matmul(l.up.data + share.begin * l.up.bytes_per_panel, count, x, a.up + from, stride);
    for (int t = 0; t < p.count; ++t) {
      float* gate = a.gate + t * stride + from;
      p.kernels.silu_mul(gate, a.up + t * stride + from, count * kPanelRows, gate);
    }
  }
  barrier(p.pool);
  mark(w, Profile::GateUp);
  take_inputs(w, a.gate, stride, c.intermediate_size, l.down.is_quantized());
  multiply(w, {{l.down, inputs_of(w.rows, 0, p.count, c.intermediate_size), a.block, padded(c.hidden_size)}});
  barrier(p.pool);
  add_block(w);
  mark(w, Profile::Down);
}

void sparse_block(Worker& w, int layer) {
  choose_experts(w);
  normalise(w, w.pass.weights.layers[layer].ffn_norm, w.pass.config.hidden_size % 32 == 0);
  mark(w, Profile::Rest);
  run_experts(w, layer);
  mark(w, Profile::Experts);
}

}  // namespace

void add_block(Worker& w) {
  const Pass& p = w.pass;
  const int cols = p.config.hidden_size;
  for (int t = w.begin; t < w.end; ++t) {
    p.kernels.add_scaled(p.activations.block + static_cast<int64_t>(t) * padded(cols), p.config.residual_multiplier,
                         cols, w.residual + static_cast<int64_t>(t) * cols);
  }
}

void multiply(Worker& w, std::initializer_list<Product> products) {
  int64_t total = 0;
  for (const Product& product : products) total += product.w.bytes();
  const int64_t from = total * w.thread / w.pass.pool.size, to = total * (w.thread + 1) / w.pass.pool.size;
  int64_t at = 0;
  for (const Product& product : products) {
    const Matrix& m = product.w;
    // A panel belongs to the thread in whose share it begins.
    const auto panel_at = [&](int64_t byte) {
      const int64_t panel = (byte - at + m.bytes_per_panel - 1) / m.bytes_per_panel;
      return static_cast<int>(std::clamp<int64_t>(panel, 0, m.panels));
    };
    const int begin = from <= at ? 0 : panel_at(from), end = to <= at ? 0 : panel_at(to);
    if (begin < end) {
      m.matmul(m.data + begin * m.bytes_per_panel, end - begin, product.x, product.y + begin * kPanelRows,
               product.stride);
    }
    at += m.bytes();
  }
}

void mark(Worker& w, Profile::Op op) {
  if (!w.pass.profile || w.thread != 0) return;
  const auto now = std::chrono::steady_clock::now();
  w.pass.profile->nanoseconds[op] += std::chrono::duration_cast<std::chrono::nanoseconds>(now - w.since).count();
  w.since = now;
}

void forward(Pass& pass) {
  for (size_t index = 0; index < pass.lanes.size(); ++index) {
    const Lane& lane = pass.lanes[index];
    std::fill_n(pass.activations.lane + lane.first, lane.count, static_cast<int32_t>(index));
  }
  auto work = [&](int thread) {
    Worker w = make_worker(pass, thread);
    embed(w);
    rotation_angles(w);
    for (int layer = 0; layer < pass.config.num_hidden_layers; ++layer) {
      attention_block(w, layer);
      if (pass.config.num_experts) {
        sparse_block(w, layer);
      } else {
        dense_block(w, layer);
      }
    }
  };
  run(pass.pool, work);
  for (const Lane& lane : pass.lanes) advance(*lane.cache, lane.count);
  if (pass.profile) ++pass.profile->calls;
}

}  // namespace dotori
