#include <cmath>

#include "kernels/attention/isa_table.h"
#include "platform/half.h"

namespace dotori::reference {
namespace {

struct Place {
  uint16_t* key;  // its dimensions lie 16 apart
  uint16_t* value;
};

Place place_of(const KeyValues& cache, int position) {
  const int64_t slot = position % cache.capacity, tile = slot / kTile * cache.tile_stride, row = slot % kTile;
  return {cache.keys + tile + row / 16 * 16 * cache.head_dim + row % 16, cache.values + tile + row * cache.head_dim};
}

double score_of(const KeyValues& cache, const float* query, double scale, int position) {
  const uint16_t* key = place_of(cache, position).key;
  double sum = 0.0;
  for (int i = 0; i < cache.head_dim; ++i) sum += static_cast<double>(query[i]) * f16_to_f32(key[16 * i]);
  return sum * scale;
}

constexpr int kPiece = 64;  // dimensions of the result at a time: scores are made anew for each

void attend(const KeyValues& cache, const float* query, double scale, int first, int last, float* out) {
  double largest = -HUGE_VAL;
  for (int p = first; p <= last; ++p) largest = std::fmax(largest, score_of(cache, query, scale, p));
  for (int begin = 0; begin < cache.head_dim; begin += kPiece) {
    const int count = cache.head_dim - begin < kPiece ? cache.head_dim - begin : kPiece;
    double sum[kPiece] = {}, weights = 0.0;
    for (int p = first; p <= last; ++p) {
      const double weight = std::exp(score_of(cache, query, scale, p) - largest);
      const uint16_t* value = place_of(cache, p).value + begin;
      weights += weight;
      for (int i = 0; i < count; ++i) sum[i] += weight * f16_to_f32(value[i]);
    }
    for (int i = 0; i < count; ++i) out[begin + i] = static_cast<float>(sum[i] / weights);
  }
}

}  // namespace

void store_key_value(const KeyValues& cache, int position, const float* key, const float* value) {
  const Place place = place_of(cache, position);
  for (int i = 0; i < cache.head_dim; ++i) place.key[16 * i] = f32_to_f16(key[i]);
  for (int i = 0; i < cache.head_dim; ++i) place.value[i] = f32_to_f16(value[i]);
}

void attention(const KeyValues& cache, const Queries& queries, float*) {
  for (int t = 0; t < queries.tokens; ++t) {
    const int last = queries.first_position + t, first = last - queries.window + 1;
    for (int g = 0; g < queries.group; ++g) {
      attend(cache, queries.q + t * queries.q_stride + g * cache.head_dim, queries.scale,
             queries.window > 0 && first > 0 ? first : 0, last,
             queries.out + t * queries.out_stride + g * cache.head_dim);
    }
  }
}

}  // namespace dotori::reference
