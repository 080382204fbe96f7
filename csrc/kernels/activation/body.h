// Sixteen at a time; the rest through a padded copy, so that a number's result does not depend on its place.

DOTORI_INLINE F silu_of(F gate, F up) {
  return f_mul(f_div(gate, f_add(f_all(1.0f), f_exp(f_sub(f_zero(), gate)))), up);
}

DOTORI_INLINE F relu_of(F gate, F up) { return f_mul(f_max(gate, f_zero()), up); }

template <F (*unit)(F, F)>
DOTORI_INLINE void gated(const float* gate, const float* up, int count, float* h) {
  int at = 0;
  for (; at + 16 <= count; at += 16) f_store(h + at, unit(f_load(gate + at), f_load(up + at)));
  if (at == count) return;
  float rest_gate[16] = {}, rest_up[16] = {}, rest[16];
  for (int i = at; i < count; ++i) {
    rest_gate[i - at] = gate[i];
    rest_up[i - at] = up[i];
  }
  f_store(rest, unit(f_load(rest_gate), f_load(rest_up)));
  for (int i = at; i < count; ++i) h[i] = rest[i - at];
}

void silu_mul(const float* gate, const float* up, int count, float* h) { gated<silu_of>(gate, up, count, h); }

void relu_mul(const float* gate, const float* up, int count, float* h) { gated<relu_of>(gate, up, count, h); }

void add_scaled(const float* x, float scale, int count, float* y) {
  int at = 0;
  const F factor = f_all(scale);
  for (; at + 16 <= count; at += 16) f_store(y + at, f_fma(f_load(x + at), factor, f_load(y + at)));
  for (; at < count; ++at) y[at] = __builtin_fmaf(x[at], scale, y[at]);
}
