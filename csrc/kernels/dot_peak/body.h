// Twelve sums, so that none waits for itself: more than any of our processors needs to keep its units busy.

int32_t dot_peak(int64_t rounds) {
  alignas(64) uint8_t weights[64];
  int8_t x[12 * 4];
  for (int i = 0; i < 64; ++i) weights[i] = static_cast<uint8_t>(i);
  for (int i = 0; i < 12 * 4; ++i) x[i] = static_cast<int8_t>(i - 24);
  I sum[12];
  for (int i = 0; i < 12; ++i) sum[i] = i_zero();
  const B w = b_load(weights);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = dot4_small(sum[i], w, x + 4 * i);
  }
  I total = sum[0];
  for (int i = 1; i < 12; ++i) total = i_add(total, sum[i]);
  return i_sum(total);
}
