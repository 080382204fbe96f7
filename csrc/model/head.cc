// From the stream of a finished pass to logits.

#include "model/worker.h"

namespace dotori {
namespace {

// Final norm of the stream's row `from` into row `to`.
void normalise_row(const Worker& w, int from, const RowBuffer& rows, int to) {
  const Pass& p = w.pass;
  const int64_t cols = p.config.hidden_size;
  p.kernels.rmsnorm(w.residual + from * cols, p.weights.output_norm, p.config.hidden_size, p.config.rms_norm_eps,
                    rows.values + to * cols);
  if (p.weights.head.is_quantized()) quantize_row(p.kernels, rows, to, p.config.hidden_size);
}

// The head's inputs: as in the layers, a single row is every thread's own work, several are shared.
RowBuffer prepare(Worker& w, std::span<const int> rows) {
  const Activations& a = w.pass.activations;
  if (rows.size() == 1) {
    normalise_row(w, rows[0], a.own[w.thread], 0);
    return a.own[w.thread];
  }
  const Share share = share_of(static_cast<int>(rows.size()), w.thread, w.pass.pool.size);
  for (int i = share.begin; i < share.end; ++i) normalise_row(w, rows[i], a.last, i);
  barrier(w.pass.pool);
  return a.last;
}

}  // namespace

void head(Pass& pass, std::span<const int> rows) {
  const ModelConfig& c = pass.config;
  const int count = static_cast<int>(rows.size());
  auto work = [&](int thread) {
    Worker w = make_worker(pass, thread);
    const Inputs x = inputs_of(prepare(w, rows), 0, count, c.hidden_size);
    multiply(w, {{pass.weights.head, x, pass.activations.logits, padded(c.vocab_size)}});
    if (c.logits_scaling != 1.0f) {
      barrier(pass.pool);
      const Share share = share_of(padded(c.vocab_size), thread, pass.pool.size);
      for (int row = 0; row < count; ++row) {
        float* logits = pass.activations.logits + static_cast<int64_t>(row) * padded(c.vocab_size);
        for (int i = share.begin; i < share.end; ++i) logits[i] /= c.logits_scaling;
      }
    }
    mark(w, Profile::Head);
  };
  run(pass.pool, work);
}

void final_row(const Pass& pass, int row, float* out) {
  const Activations& a = pass.activations;
  const float* stream = pass.count == 1 ? a.own_residual[0] : a.residual;
  pass.kernels.rmsnorm(stream + static_cast<int64_t>(row) * pass.config.hidden_size, pass.weights.output_norm,
                       pass.config.hidden_size, pass.config.rms_norm_eps, out);
}

}  // namespace dotori
