// Mixtures of experts: few tokens skip the neurons that are off, many tokens are grouped by expert.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/worker.h"

namespace dotori {
namespace {

struct Choice {
  int32_t* experts;  // [num_experts_used] of token t: at t * num_experts_used
  float* weights;
};

// A single token's choice is made by every thread for itself.
Choice choice_of(const Worker& w) {
  const Activations& a = w.pass.activations;
  const int64_t row = is_single(w) ? a.chunk + w.thread : 0;
  return {a.chosen + row * w.pass.config.num_experts_used, a.chosen_weight + row * w.pass.config.num_experts_used};
}

// The `count` largest logits, the smaller index first among equals, and their weights: they sum to 1.
void choose(const ModelConfig& c, float* logits, int32_t* experts, float* weights) {
  const int count = c.num_experts_used;
  const float largest = *std::max_element(logits, logits + c.num_experts);
  float sum = 0.0f;
  for (int k = 0; k < count; ++k) {
    const int best = static_cast<int>(std::max_element(logits, logits + c.num_experts) - logits);
    const float logit = logits[best];
    experts[k] = best;
    weights[k] = c.sigmoid_router ? 1.0f / (1.0f + std::exp(-logit)) : std::exp(logit - largest);
    sum += weights[k];
    logits[best] = -INFINITY;
  }
  for (int k = 0; k < count; ++k) weights[k] /= sum;
}

// Each thread takes some neurons of every chosen expert and sums its own part of the output.
void run_sparse(Worker& w, int layer) {
  const Pass& p = w.pass;
  const ModelConfig& c = p.config;
  const Choice choice = choice_of(w);
  const int used = c.num_experts_used, hidden = padded(c.hidden_size);
  const Share share = share_of(c.expert_intermediate_size / 32, w.thread, p.pool.size);
  float* sum = p.activations.expert_sum[w.thread];
  std::memset(sum, 0, sizeof(float) * p.count * hidden);
  const auto gate_at = [&](int index) {
    const Matrix& gate = expert(p.weights, layer, index).gate;
    return gate.data + share.begin * (32 / kPanelRows) * gate.bytes_per_panel;
  };
  int64_t active = 0;
  for (int t = 0; t < p.count; ++t) {
    const Inputs x = inputs_of(w.rows, t, 1, c.hidden_size);
    for (int k = t * used; k < (t + 1) * used; ++k) {
      const uint8_t* next = k + 1 < p.count * used ? gate_at(choice.experts[k + 1]) : nullptr;
      active += p.kernels.sparse_ffn(expert(p.weights, layer, choice.experts[k]).sparse, share.begin * 32,
                                     share.end * 32, x, choice.weights[k], sum + static_cast<int64_t>(t) * hidden,
                                     p.activations.expert_scratch[w.thread], next);
    }
  }
  if (p.profile && w.thread == 0) {
    p.profile->neurons += static_cast<int64_t>(share.end - share.begin) * 32 * used * p.count;
    p.profile->active_neurons += active;
  }
  barrier(p.pool);
  for (int t = w.begin; t < w.end; ++t) {
    for (const float* part : p.activations.expert_sum) {
      p.kernels.add_scaled(part + static_cast<int64_t>(t) * hidden, c.residual_multiplier, c.hidden_size,
                           w.residual + static_cast<int64_t>(t) * c.hidden_size);
    }
  }
}

// Counting sort of the chunk's choices by expert; every thread makes its own.
void sort_by_expert(Worker& w, const Choice& choice) {
  const Activations& a = w.pass.activations;
  const int experts = w.pass.config.num_experts, places = w.pass.count * w.pass.config.num_experts_used;
  int32_t *begin = a.expert_begin[w.thread], *order = a.expert_order[w.thread];
  std::fill(begin, begin + experts + 1, 0);
  for (int place = 0; place < places; ++place) ++begin[choice.experts[place] + 1];
  for (int e = 0; e < experts; ++e) begin[e + 1] += begin[e];
  for (int place = 0; place < places; ++place) order[begin[choice.experts[place]]++] = place;
  for (int e = experts; e > 0; --e) begin[e] = begin[e - 1];
  begin[0] = 0;
}

void copy_row(const RowBuffer& from, int source, const RowBuffer& to, int target, int cols, bool with_values) {
  const int64_t a = static_cast<int64_t>(source) * cols, b = static_cast<int64_t>(target) * cols;
  if (with_values) std::memcpy(to.values + b, from.values + a, sizeof(float) * cols);
  std::memcpy(to.q + b, from.q + a, cols);
  std::memcpy(to.scale + b / 32, from.scale + a / 32, sizeof(float) * (cols / 32));
  std::memcpy(to.sum + b / 16, from.sum + a / 16, sizeof(int32_t) * (cols / 16));
}

// h of `tokens` gathered rows: gate and up of this thread's panels of neurons, then int8 of its rows.
void hidden_rows(Worker& w, const Expert& e, int tokens) {
  const Pass& p = w.pass;
  const Activations& a = p.activations;
  const int neurons = p.config.expert_intermediate_size, stride = padded(neurons);
  const Inputs x = inputs_of(a.gathered, 0, tokens, p.config.hidden_size);
  const Share panels = share_of(e.gate.panels, w.thread, p.pool.size);
  const int first = panels.begin * kPanelRows, count = panels.end - panels.begin;
  if (count > 0) {
    e.gate.matmul(e.gate.data + panels.begin * e.gate.bytes_per_panel, count, x, a.gate + first, stride);
    if (!e.is_sparse) {
      e.up.matmul(e.up.data + panels.begin * e.up.bytes_per_panel, count, x, a.up + first, stride);
    }
    for (int panel = panels.begin; e.is_sparse && panel < panels.end; panel += kPanelsTogether) {
      const int some = std::min(kPanelsTogether, panels.end - panel);
      p.kernels.up_panels(e.sparse, panel, some, a.panels[w.thread]);
      e.gate.matmul(a.panels[w.thread], some, x, a.up + panel * kPanelRows, stride);
    }
  }
  for (int i = 0; i < tokens && count > 0; ++i) {
    const int64_t at = static_cast<int64_t>(i) * stride + first;
    p.kernels.relu_mul(a.gate + at, a.up + at, count * kPanelRows, a.gate + at);
  }
  barrier(p.pool);
  const Share rows = share_of(tokens, w.thread, p.pool.size);
  for (int i = rows.begin; i < rows.end; ++i) {
    const float* h = a.gate + static_cast<int64_t>(i) * stride;
    const int64_t at = static_cast<int64_t>(i) * neurons;
    if (e.is_sparse || e.down.is_quantized()) {
      p.kernels.quantize(h, neurons, a.hidden.q + at, a.hidden.scale + at / 32, a.hidden.sum + at / 16);
    } else {
      std::memcpy(a.hidden.values + at, h, sizeof(float) * neurons);
    }
  }
  barrier(p.pool);
}

void add_outputs(Worker& w, const Expert& e, const Choice& choice, const int32_t* places, int tokens) {
  const Pass& p = w.pass;
  const ModelConfig& c = p.config;
  const Inputs h = inputs_of(p.activations.hidden, 0, tokens, c.expert_intermediate_size);
  const int hidden = padded(c.hidden_size), panels = panels_of(c.hidden_size);
  float* y = p.activations.panel_output[w.thread];
  const Share share = share_of((panels + kPanelsTogether - 1) / kPanelsTogether, w.thread, p.pool.size);
  for (int first = share.begin * kPanelsTogether; first < share.end * kPanelsTogether; first += kPanelsTogether) {
    const int some = std::min(kPanelsTogether, panels - first), rows = some * kPanelRows;
    if (e.is_sparse) {
      uint8_t* window = p.activations.panels[w.thread];
      p.kernels.down_panels(e.sparse, first, some, window);
      e.gate.matmul(window, some, h, y, rows);
    } else {
      e.down.matmul(e.down.data + first * e.down.bytes_per_panel, some, h, y, rows);
    }
    for (int i = 0; i < tokens; ++i) {
      const int64_t token = places[i] / c.num_experts_used;
      p.kernels.add_scaled(y + i * rows, choice.weights[places[i]], rows,
                           p.activations.block + token * hidden + first * kPanelRows);
    }
  }
}

void run_grouped(Worker& w, int layer) {
  const Pass& p = w.pass;
  const ModelConfig& c = p.config;
  const Choice choice = choice_of(w);
  sort_by_expert(w, choice);
  const Share share = share_of(panels_of(c.hidden_size), w.thread, p.pool.size);
  const int hidden = padded(c.hidden_size);
  const int from = share.begin * kPanelRows, count = (share.end - share.begin) * kPanelRows;
  // With a single token another thread may still be adding the attention's output from the same buffer.
  if (is_single(w)) barrier(p.pool);
  for (int64_t t = 0; t < p.count; ++t) std::memset(p.activations.block + t * hidden + from, 0, sizeof(float) * count);
  const int32_t* begin = p.activations.expert_begin[w.thread];
  for (int index = 0; index < c.num_experts; ++index) {
    const int tokens = begin[index + 1] - begin[index];
    if (tokens == 0) continue;
    const int32_t* places = p.activations.expert_order[w.thread] + begin[index];
    const Expert& e = expert(p.weights, layer, index);
    const Share rows = share_of(tokens, w.thread, p.pool.size);
    const bool with_values = !e.is_sparse && !(e.gate.is_quantized() && e.up.is_quantized());
    for (int i = rows.begin; i < rows.end; ++i) {
      copy_row(w.rows, places[i] / c.num_experts_used, p.activations.gathered, i, c.hidden_size, with_values);
    }
    barrier(p.pool);
    hidden_rows(w, e, tokens);
    add_outputs(w, e, choice, places, tokens);
  }
  barrier(p.pool);
  add_block(w);
}

}  // namespace

void choose_experts(Worker& w) {
  const ModelConfig& c = w.pass.config;
  const Choice choice = choice_of(w);
  if (is_single(w)) {
    float logits[kMostExperts];
    std::memcpy(logits, w.pass.activations.router, sizeof(float) * c.num_experts);
    choose(c, logits, choice.experts, choice.weights);
    return;
  }
  for (int t = w.begin; t < w.end; ++t) {
    const int64_t at = static_cast<int64_t>(t) * c.num_experts_used;
    choose(c, w.pass.activations.router + static_cast<int64_t>(t) * padded(c.num_experts), choice.experts + at,
           choice.weights + at);
  }
}

void run_experts(Worker& w, int layer) {
  // One expert tells for all: the experts of a layer share their types.
  if (w.pass.count <= kSparseTokens && expert(w.pass.weights, layer, 0).is_sparse) return run_sparse(w, layer);
  run_grouped(w, layer);
}

}  // namespace dotori
