#include "session/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "platform/error.h"

namespace dotori {
namespace {

uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

void penalize(Sampler& sampler, float penalty, float* logits, int vocab_size, const std::vector<int32_t>& previous) {
  sampler.is_seen.assign(vocab_size, 0);
  for (const int32_t id : previous) {
    if (sampler.is_seen[id]) continue;
    sampler.is_seen[id] = 1;
    logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  }
}

// Sorts until the first `count` ids are the best ones, in order.
void rank(Sampler& sampler, const float* logits, int count) {
  const int size = static_cast<int>(sampler.ranked.size());
  if (count <= sampler.sorted) return;
  const auto better = [logits](int32_t a, int32_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
  const auto from = sampler.ranked.begin() + sampler.sorted, to = sampler.ranked.begin() + std::min(count, size);
  if (to != sampler.ranked.end()) std::nth_element(from, to - 1, sampler.ranked.end(), better);
  std::sort(from, to, better);
  sampler.sorted = std::min(count, size);
}

// Walks the ids by falling probability, sorting ever more of them.
struct Walk {
  Sampler& sampler;
  const float* logits;
  double temperature;
  double best;

  double weight(int place) {
    if (place >= sampler.sorted) rank(sampler, logits, std::max(64, sampler.sorted * 8));
    return weight_of(sampler.ranked[place]);
  }
  double weight_of(int32_t id) const { return std::exp(static_cast<double>(logits[id]) / temperature - best); }
};

// How many of the first `count` ids top-p and min-p leave.
int kept_by(const Sampling& sampling, Walk& walk, int count, double total) {
  double running = 0.0;
  int kept = count;
  if (sampling.top_p < 1.0) {
    for (kept = 0; kept < count; ++kept) {
      running += walk.weight(kept) / total;
      if (running >= sampling.top_p) break;
    }
    kept = std::min(kept + 1, count);
  }
  if (sampling.min_p > 0.0) {
    int place = 0;
    while (place < kept && walk.weight(place) / total >= sampling.min_p * (1.0 / total)) ++place;
    kept = place;
  }
  return kept;
}

}  // namespace

double uniform(uint64_t seed, uint64_t position) {
  constexpr uint64_t golden = 0x9E3779B97F4A7C15u;
  return static_cast<double>(mix(mix(seed + golden) + (position + 1) * golden) >> 11) * 0x1p-53;
}

int32_t greedy(const float* logits, int vocab_size) {
  int32_t best = 0;
  bool is_number = true;
  for (int id = 0; id < vocab_size; ++id) {
    is_number &= logits[id] == logits[id];
    if (logits[id] > logits[best]) best = id;
  }
  if (!is_number || !std::isfinite(logits[best])) {
    throw Error("logits: not finite; the model's weights must give numbers; check the file or train it anew");
  }
  return best;
}

int32_t sample(Sampler& sampler, const Sampling& sampling, float* logits, int vocab_size, uint64_t position,
               const std::vector<int32_t>& previous) {
  if (sampling.repetition_penalty != 1.0 && !previous.empty()) {
    penalize(sampler, static_cast<float>(sampling.repetition_penalty), logits, vocab_size, previous);
  }
  const int32_t best = greedy(logits, vocab_size);
  if (sampling.temperature == 0.0) return best;
  sampler.ranked.resize(vocab_size);
  std::iota(sampler.ranked.begin(), sampler.ranked.end(), 0);
  sampler.sorted = 0;
  Walk walk{sampler, logits, sampling.temperature, static_cast<double>(logits[best]) / sampling.temperature};
  const int count = sampling.top_k > 0 ? std::min(sampling.top_k, vocab_size) : vocab_size;
  double total = 0.0;
  if (count < vocab_size) {
    rank(sampler, logits, count);
    for (int place = 0; place < count; ++place) total += walk.weight(place);
  } else {
    for (int id = 0; id < vocab_size; ++id) total += walk.weight_of(id);
  }
  const int kept = kept_by(sampling, walk, count, total);
  double kept_total = total;
  if (kept < count) {
    kept_total = 0.0;
    for (int place = 0; place < kept; ++place) kept_total += walk.weight(place);
  }
  const double wanted = uniform(sampling.seed, position) * kept_total;
  double running = 0.0;
  for (int place = 0; place < kept; ++place) {
    running += walk.weight(place);
    if (running > wanted) return sampler.ranked[place];
  }
  return sampler.ranked[kept - 1];
}

}  // namespace dotori
