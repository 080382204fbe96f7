#include "model/model.h"

#include <cmath>

#include "platform/error.h"

namespace dotori {
namespace {

std::vector<float> frequencies(const ModelConfig& config, const float* factors) {
  std::vector<float> result(config.head_dim / 2);
  for (size_t i = 0; i < result.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / config.head_dim;
    const double plain = 1.0 / (std::pow(static_cast<double>(config.rope_theta), exponent) * config.rope_scale);
    result[i] = static_cast<float>(factors ? plain / factors[i] : plain);
  }
  return result;
}

}  // namespace

std::unique_ptr<Model> open_model(const std::string& path, int threads, int64_t memory_bytes, int context) {
  auto model = std::make_unique<Model>(threads);
  model->kernels = &choose_kernels();
  const GgufFile file = open_gguf(path);
  model->config = read_config(file);
  check_tensors(file, model->config);
  model->activations = make_activations(model->config, threads);
  int64_t left = 0;
  if (memory_bytes > 0) {
    const int positions = context > 0 ? context : model->config.context_length;
    const int64_t others = model->activations.storage.bytes + kv_cache_bytes(model->config, positions);
    if (others >= memory_bytes) {
      throw Error("memory: " + std::to_string(memory_bytes / 1000000) + " MB allowed, " + std::to_string(positions) +
                  " positions and scratch alone take " + std::to_string(others / 1000000) +
                  " MB; allow more or a shorter context");
    }
    left = memory_bytes - others;
  }
  model->weights = load_weights(file, model->config, *model->kernels, model->pool, left);
  model->inverse_frequencies = frequencies(model->config, model->weights.rope_freqs);
  return model;
}

Pass make_pass(Model& m, std::span<const Lane> lanes, const int32_t* tokens) {
  const int count = lanes.back().first + lanes.back().count;
  return {m.config,      *m.kernels, m.weights, m.inverse_frequencies.data(), m.pool,
          m.activations, lanes,      tokens,    count, m.profiles ? &m.profile : nullptr};
}

}  // namespace dotori
