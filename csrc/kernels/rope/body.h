// Halves are turned 16 pairs at a time. Neighbours go one by one: a head has few, and compilers pair them well.

void rope(float* x, int head_dim, const float* cosine, const float* sine, bool neighbours) {
  const int half = head_dim / 2;
  if (neighbours) {
    for (int i = 0; i < half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = a * cosine[i] - b * sine[i];
      x[2 * i + 1] = b * cosine[i] + a * sine[i];
    }
    return;
  }
  int i = 0;
  for (; i + 16 <= half; i += 16) {
    const F a = f_load(x + i), b = f_load(x + half + i), c = f_load(cosine + i), s = f_load(sine + i);
    f_store(x + i, f_sub(f_mul(a, c), f_mul(b, s)));
    f_store(x + half + i, f_fma(b, c, f_mul(a, s)));
  }
  for (; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    x[i] = a * cosine[i] - b * sine[i];
    x[half + i] = b * cosine[i] + a * sine[i];
  }
}
