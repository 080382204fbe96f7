// How the next id is chosen from logits: the steps, their order and the draws of dotori/model/sampling.py, which
// explains them. Only the best ids are sorted, as many as a draw turns out to need.
#pragma once

#include <cstdint>
#include <vector>

namespace dotori {

struct Sampling {
  double temperature = 0.0;  // 0 takes the largest logit
  int top_k = 0;             // 0 keeps all
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  uint64_t seed = 0;
};

// The draw of `position` under `seed`, in [0, 1).
double uniform(uint64_t seed, uint64_t position);

// Scratch of sample(), kept between calls.
struct Sampler {
  std::vector<int32_t> ranked;   // ids, the first `sorted` by falling logit
  int sorted = 0;
  std::vector<uint8_t> is_seen;  // by id
};

// The id for index `position` of the sequence. `logits` (vocab_size) are changed by the penalty; `previous` are the ids
// before it. Throws Error for logits that are not numbers.
int32_t sample(Sampler& sampler, const Sampling& sampling, float* logits, int vocab_size, uint64_t position,
               const std::vector<int32_t>& previous);

// The largest logit's id, the smallest among equals. Throws Error for logits that are not numbers.
int32_t greedy(const float* logits, int vocab_size);

}  // namespace dotori
