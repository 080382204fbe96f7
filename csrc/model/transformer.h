// The graph: one readable forward pass over a chunk of tokens.
//
// All threads run all of it, each on its share of rows, panels or heads, and meet at barriers. The tokens may belong to
// several texts (lanes): they share one reading of the weights, and attention looks at its own text. Letters: T tokens,
// D hidden size, N query heads, K key/value heads, H head size, F intermediate size, E experts, V vocabulary.
#pragma once

#include <cstdint>
#include <span>

#include "model/activations.h"
#include "model/kv_cache.h"
#include "model/weights.h"
#include "platform/thread_pool.h"

namespace dotori {

// Where the time of passes went, measured by thread 0, and how many neurons experts skipped.
struct Profile {
  enum Op { Qkv, AttentionOp, Output, GateUp, Down, Experts, Head, Rest, kOps };
  int64_t nanoseconds[kOps] = {};
  int64_t calls = 0;
  int64_t neurons = 0, active_neurons = 0;
};

// The tokens of one text in a pass: `count` of them from `first` on, at the end of the text's cache.
struct Lane {
  KvCache* cache;  // has room for them
  int first;
  int count;
};

struct Pass {
  const ModelConfig& config;
  const Kernels& kernels;
  const Weights& weights;
  const float* inverse_frequencies;  // [H / 2]
  ThreadPool& pool;
  Activations& activations;
  std::span<const Lane> lanes;  // one after the other, each text once
  const int32_t* tokens;        // [T] ids below vocab_size
  int count;                    // T, at most activations.chunk
  Profile* profile;             // or null
};

// Runs the tokens at the ends of their texts' caches, which grow by them. A token's result does not depend on the lanes
// beside its own, to the bit, except that many tokens send experts the way of long prompts.
void forward(Pass& pass);

// Logits after the tokens `rows` (at most kLogitRows) of the pass that ran last, into activations.logits
// [rows, V rounded up to 16].
void head(Pass& pass, std::span<const int> rows);

// The final norm's row [D] of token `row` of the pass that ran last.
void final_row(const Pass& pass, int row, float* out);

}  // namespace dotori
