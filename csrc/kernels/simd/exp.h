// e^x of 16 lanes, in vector words: it is included like a body, inside an instruction set's namespace, by the bodies
// that need it.
//
// x = n ln 2 + r with n whole and |r| <= ln 2 / 2; e^r is a polynomial of degree 6 (relative error 3.1e-9, fitted to
// the smallest largest error), ln 2 is taken away in two parts. With the roundings of float32 the relative error stays
// below 1e-7 wherever the result is a normal number. From 88.73 on the result is infinity; below -103.98 it is 0.

// The polynomial; r = x - n ln 2.
DOTORI_INLINE F exp_of_rest(F x, F n) {
  const F r = f_fma(n, f_all(1.90465421e-9f), f_fma(n, f_all(-0.693147182f), x));
  F sum = f_fma(f_all(1.3814539e-3f), r, f_all(8.3687454e-3f));
  sum = f_fma(sum, r, f_all(4.1668389e-2f));
  sum = f_fma(sum, r, f_all(0.16666521f));
  sum = f_fma(sum, r, f_all(0.49999994f));
  return f_add(f_fma(f_mul(r, r), sum, r), f_all(1.0f));
}

// Any x but NaN. The power of two is multiplied in two halves, since it may be beyond a float's exponents.
DOTORI_INLINE F f_exp(F x) {
  x = f_min(f_all(89.0f), f_max(f_all(-104.0f), x));
  const F n = f_round(f_mul(x, f_all(1.44269504f)));
  const F half = f_round(f_mul(n, f_all(0.5f)));
  return f_scale_by_power(f_scale_by_power(exp_of_rest(x, n), half), f_sub(n, half));
}

// x <= 0, down to -infinity: two steps less. n moves up by 64, into a float's exponents, and 2^-64 takes it back.
DOTORI_INLINE F f_exp_of_negative(F x) {
  x = f_max(f_all(-104.0f), x);
  const F n = f_round(f_mul(x, f_all(1.44269504f)));
  return f_mul(f_scale_by_power(exp_of_rest(x, n), f_add(n, f_all(64.0f))), f_all(0x1p-64f));
}
