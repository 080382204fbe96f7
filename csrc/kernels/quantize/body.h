// quantize() in vector words; its contract is in quantize.h.

void quantize(const float* x, int cols, int8_t* q, float* scale, int32_t* sum) {
  for (int block = 0; block < cols / 32; ++block) {
    const F low = f_load(x + 32 * block), high = f_load(x + 32 * block + 16);
    const float largest = f_largest(f_max(f_abs(low), f_abs(high)));
    const bool zero = largest < kSmallestBlock;
    const F inverse = f_all(zero ? 0.0f : 127.0f / largest);
    const I q_low = i_of(f_mul(low, inverse)), q_high = i_of(f_mul(high, inverse));
    i_store_i8(q + 32 * block, q_low);
    i_store_i8(q + 32 * block + 16, q_high);
    scale[block] = zero ? 0.0f : largest / 127.0f;
    sum[2 * block] = i_sum(q_low);
    sum[2 * block + 1] = i_sum(q_high);
  }
}
