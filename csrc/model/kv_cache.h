// Keys and values of past positions, float16, by layer and key/value head.
//
// A layer with a window keeps a ring of window + kLongestChunk positions, so that a chunk can be written while its
// first token still sees its whole window. Memory is taken from the system as positions are first used.
#pragma once

#include <vector>

#include "format/model_config.h"
#include "kernels/kernels.h"
#include "platform/buffer.h"

namespace dotori {

struct KvCache {
  Buffer storage;
  std::vector<KeyValues> heads;  // layer * num_key_value_heads + head
  int context = 0;               // positions that it holds
  int length = 0;                // positions written
  int reached = 0;               // the largest length since it was empty: what a ring has overwritten
  int ring = 0;                  // capacity of windowed layers, 0 without
};

// Throws Error for too little memory.
KvCache make_kv_cache(const ModelConfig& config, int context);
int64_t kv_cache_bytes(const ModelConfig& config, int context);

// Whether the cache can go back to `length` positions: a ring forgets.
bool can_truncate(const KvCache& cache, const ModelConfig& config, int length);

// Goes back to `length` positions, which can_truncate allows or which are none.
void truncate(KvCache& cache, int length);

// Counts positions that were written.
void advance(KvCache& cache, int count);

// Whether the first `length` positions of `from` can be copied to `to`, a cache of the same model: a ring that has gone
// round has lost them.
bool can_copy(const KvCache& from, const KvCache& to, int length);

// Makes `to` hold them, and no more.
void copy_beginning(const KvCache& from, int length, KvCache& to);

// Whether a layer of the model sees a window only, and whether it rotates.
inline bool has_window(const ModelConfig& config, int layer) {
  return config.sliding_window > 0 && (config.no_rope_period == 0 || layer % config.no_rope_period != 0);
}
inline bool has_rope(const ModelConfig& config, int layer) {
  return config.no_rope_period == 0 || layer % config.no_rope_period != 0;
}

}  // namespace dotori
