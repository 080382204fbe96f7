// rmsnorm() in vector words; its contract is in rmsnorm.h. Four sums, so that none waits for itself; what is left of a
// row goes through a padded copy.

void rmsnorm(const float* x, const float* gain, int cols, float eps, float* y) {
  const int whole = cols / 16 * 16, rest = cols - whole;
  float last[16] = {}, last_gain[16] = {};
  for (int i = 0; i < rest; ++i) last[i] = x[whole + i];
  for (int i = 0; i < rest; ++i) last_gain[i] = gain[whole + i];

  F sums[4] = {f_zero(), f_zero(), f_zero(), f_zero()};
  int column = 0;
  for (; column + 64 <= whole; column += 64) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const F v = f_load(x + column + 16 * i);
      sums[i] = f_fma(v, v, sums[i]);
    }
  }
  for (; column < whole; column += 16) {
    const F v = f_load(x + column);
    sums[0] = f_fma(v, v, sums[0]);
  }
  sums[1] = f_fma(f_load(last), f_load(last), sums[1]);
  const float sum = f_sum(f_add(f_add(sums[0], sums[1]), f_add(sums[2], sums[3])));
  const F inverse = f_all(1.0f / __builtin_sqrtf(sum / static_cast<float>(cols) + eps));

  for (column = 0; column < whole; column += 16) {
    f_store(y + column, f_mul(f_mul(f_load(x + column), inverse), f_load(gain + column)));
  }
  f_store(last, f_mul(f_mul(f_load(last), inverse), f_load(last_gain)));
  for (int i = 0; i < rest; ++i) y[whole + i] = last[i];
}
