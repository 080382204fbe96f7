// The graph: one readable forward pass over a chunk of tokens.
//
// All threads run all of it, each on its share of rows, panels or heads, and meet at barriers. Letters: T tokens of the
// chunk, D hidden size, N query heads, K key/value heads, H head size, F intermediate size, E experts, V vocabulary.
#pragma once

#include <cstdint>

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

struct Pass {
  const ModelConfig& config;
  const Kernels& kernels;
  const Weights& weights;
  const float* inverse_frequencies;  // [H / 2]
  ThreadPool& pool;
  Activations& activations;
  KvCache& cache;
  const int32_t* tokens;  // ids below vocab_size
  int count;              // T, at most activations.chunk; the cache has room for them
  Profile* profile;       // or null
};

// Runs the chunk at the end of the cache, which grows by it. activations.last then holds the final norm's rows.
void forward(Pass& pass);

// Logits of `rows` (at most kLogitRows) rows of the last pass, into activations.logits [rows, V rounded up to 16].
void head(Pass& pass, int first_row, int rows);

}  // namespace dotori
