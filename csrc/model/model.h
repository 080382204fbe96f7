// An opened model: configuration, weights, threads and the scratch that its sessions share, one at a time.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "model/transformer.h"

namespace dotori {

struct Model {
  explicit Model(int threads) : pool(threads) {}

  ModelConfig config;
  const Kernels* kernels = nullptr;
  ThreadPool pool;
  Weights weights;
  Activations activations;
  std::vector<float> inverse_frequencies;  // [H / 2]
  Profile profile;
  bool profiles = false;
  std::mutex guard;  // sessions take turns
};

// Opens a GGUF file. threads >= 1; memory_bytes 0 sets no limit, else weights, scratch and `context` positions must
// fit. Throws Error.
std::unique_ptr<Model> open_model(const std::string& path, int threads, int64_t memory_bytes, int context);

// What a pass of the model needs, for the tokens of `lanes`. The caller holds the guard.
Pass make_pass(Model& model, std::span<const Lane> lanes, const int32_t* tokens);

}  // namespace dotori
