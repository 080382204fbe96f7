#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "model/activations.h"

namespace dotori {
namespace {

int rounded(int positions) { return (positions + kTile - 1) / kTile * kTile; }

// The layers that keep `capacity` positions: tile after tile, in each all layers and heads, keys before values. What a
// text has not reached is never touched, whatever the context.
void lay_out_layers(const ModelConfig& config, const std::vector<int>& layers, int capacity, Arena& arena,
                    KvCache& cache) {
  const int size = padded(config.head_dim), heads = config.num_key_value_heads;
  const int64_t piece = static_cast<int64_t>(kTile) * size;
  const int64_t stride = static_cast<int64_t>(layers.size()) * heads * 2 * piece;
  uint16_t* base = arena.take<uint16_t>(capacity / kTile * stride);
  if (!base) return;
  for (size_t index = 0; index < layers.size(); ++index) {
    for (int head = 0; head < heads; ++head) {
      uint16_t* keys = base + (static_cast<int64_t>(index) * heads + head) * 2 * piece;
      cache.heads[layers[index] * heads + head] = {keys, keys + piece, stride, capacity, size};
    }
  }
}

KvCache lay_out(const ModelConfig& config, int context, Arena& arena) {
  KvCache cache;
  cache.context = context;
  cache.heads.resize(static_cast<size_t>(config.num_hidden_layers) * config.num_key_value_heads);
  const int full = rounded(context), ring = rounded(config.sliding_window + kLongestChunk);
  if (config.sliding_window > 0 && ring < full) cache.ring = ring;
  std::vector<int> whole, windowed;
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    (cache.ring && has_window(config, layer) ? windowed : whole).push_back(layer);
  }
  lay_out_layers(config, whole, full, arena, cache);
  if (cache.ring) lay_out_layers(config, windowed, cache.ring, arena, cache);
  return cache;
}

}  // namespace

int64_t kv_cache_bytes(const ModelConfig& config, int context) {
  Arena arena;
  lay_out(config, context, arena);
  return arena.used;
}

KvCache make_kv_cache(const ModelConfig& config, int context) {
  Buffer storage(kv_cache_bytes(config, context));
  Arena arena{storage.data};
  KvCache cache = lay_out(config, context, arena);
  cache.storage = std::move(storage);
  return cache;
}

bool can_truncate(const KvCache& cache, const ModelConfig& config, int length) {
  if (!cache.ring) return true;
  const int oldest_kept = cache.reached - cache.ring;
  return length - config.sliding_window >= oldest_kept || oldest_kept <= 0;
}

void truncate(KvCache& cache, int length) {
  cache.length = length;
  if (length == 0) cache.reached = 0;
}

void advance(KvCache& cache, int count) {
  cache.length += count;
  cache.reached = std::max(cache.reached, cache.length);
}

bool can_copy(const KvCache& from, const KvCache& to, int length) {
  return length <= from.length && length <= to.context && (from.ring == 0 || from.reached <= from.ring) &&
         (to.ring == 0 || length <= to.ring);
}

void copy_beginning(const KvCache& from, int length, KvCache& to) {
  for (size_t index = 0; index < from.heads.size(); ++index) {
    const KeyValues &source = from.heads[index], &target = to.heads[index];
    const size_t bytes = sizeof(uint16_t) * kTile * source.head_dim;
    for (int64_t tile = 0; tile * kTile < length; ++tile) {
      std::memcpy(target.keys + tile * target.tile_stride, source.keys + tile * source.tile_stride, bytes);
      std::memcpy(target.values + tile * target.tile_stride, source.values + tile * source.tile_stride, bytes);
    }
  }
  to.length = to.reached = length;
}

}  // namespace dotori
