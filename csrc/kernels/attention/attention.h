// Causal attention of one key/value head, flash-style: tiles of positions, a running maximum and a running sum.
//
// Letters: T tokens, G query heads that share the key/value head, H head_dim, C capacity (positions that the cache
// holds, a multiple of kTile, so that a tile is never torn). Position p lies in slot p % C, so a window's cache is a
// ring. A tile is kTile slots. Its keys lie as panels of 16 slots, where a vector carries one dimension of 16 slots;
// its values lie by slot.
//
// The result of a token does not depend on T, to the bit: tiles begin at multiples of kTile, whatever the batch, and
// every query walks those that it sees in order of position. A slot that no query sees may hold any finite numbers.
#pragma once

#include <cstdint>

namespace dotori {

constexpr int kTile = 64;  // positions

// Queries (T * G) are taken in blocks of so many, each with these floats of scratch: H for the query, H for its sum of
// values, kTile for scores, 16 for the parts of the sum of weights, 1 for the largest score, the rest unused.
constexpr int kBlockRows = 32;
constexpr int kRowScratch = kTile + 32;

// Tiles lie `tile_stride` numbers apart, so that a cache may keep all heads of a tile together and grow tile by tile.
struct KeyValues {
  uint16_t* keys;       // of tile t from keys + t tile_stride on: (kTile / 16, H, 16) float16
  uint16_t* values;     // of tile t from values + t tile_stride on: (kTile, H) float16
  int64_t tile_stride;  // kTile H where tiles follow each other
  int capacity;         // C, a multiple of kTile
  int head_dim;         // H, a multiple of 16
};

// Puts one position's key and value (H) float32 into the cache.
using StoreKeyValue = void (*)(const KeyValues& cache, int position, const float* key, const float* value);

struct Queries {
  const float* q;     // token t, head g: q + t * q_stride + g * H; already rotated
  int64_t q_stride;
  float* out;         // the same shape
  int64_t out_stride;
  int tokens;         // T
  int group;          // G
  int first_position; // of token 0; token t sees positions <= first_position + t ...
  int window;         // ... and > first_position + t - window, when window > 0
  float scale;        // scores are multiplied by it
};

// Floats of scratch that attention() needs for these sizes.
int64_t attention_scratch(int tokens, int group, int head_dim);

// The keys and values of all positions up to first_position + T - 1 are in the cache already: a ring holds at least
// window + T - 1 positions. q, out and scratch are three different places.
using Attention = void (*)(const KeyValues& cache, const Queries& queries, float* scratch);

}  // namespace dotori
