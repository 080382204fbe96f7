// One sparse expert in vector words, bound by memory: neurons that will be needed are known early and asked for early.
//
// h becomes int8 in blocks of 32 as it does before a dense product, by the same function: both ways round alike. A
// neuron whose int8 is zero adds nothing to its group, and its `down` is not read either.

namespace {

// Neurons between the one that is worked on and the one that is being asked for; lines asked for with a row of up and
// with a vector of down, which together make up what a group of half-active neurons needs.
constexpr int kLeastAhead = 4, kMostAhead = 24;
constexpr int kLinesInUp = 12, kLinesInDown = 16;

struct SparseScratch {
  float* h;          // (count) the gate's values, then h; zero for neurons that are off
  int32_t* active;   // neurons with a positive gate, from `begin` on
  int8_t* h_q;       // h as quantize() gives it
  float* h_scale;
  int32_t* h_sum;
  int8_t* x;         // x by lanes: vector 8 g + j holds dword j of the blocks 16 g .. 16 g + 15; absent blocks are zero
  float* x_scale;    // by block
  int32_t* x_start;  // by block: what takes the weights' offset out
};

SparseScratch divide_scratch(float* scratch, int64_t hidden_size, int64_t count) {
  const int64_t lanes = (split_lanes(hidden_size) + 15) / 16 * 16;
  SparseScratch s;
  s.x = reinterpret_cast<int8_t*>(scratch);
  s.x_scale = scratch + 8 * lanes;
  s.x_start = reinterpret_cast<int32_t*>(s.x_scale + lanes);
  s.h = s.x_scale + 2 * lanes;
  s.active = reinterpret_cast<int32_t*>(s.h + count);
  s.h_q = reinterpret_cast<int8_t*>(s.h + 2 * count);
  s.h_scale = s.h + 2 * count + count / 4;
  s.h_sum = reinterpret_cast<int32_t*>(s.h_scale + count / 32);
  return s;
}

// The integer that a sum of products starts from, for weights that stand 8 or 128 too high.
template <bool nibbles>
DOTORI_INLINE int32_t start_of(int32_t sum) {
  if (nibbles) return -8 * sum;
  return kDotIsSigned ? 0 : -128 * sum;
}

template <bool nibbles>
void lay_inputs(const Inputs& x, const SparseScratch& s) {
  const int64_t blocks = x.cols / 32, lanes = (split_lanes(x.cols) + 15) / 16 * 16;
  for (int64_t block = 0; block < lanes; ++block) {
    int8_t* to = s.x + block / 16 * 512 + block % 16 * 4;
    const bool present = block < blocks;
    for (int64_t j = 0; j < 8; ++j) {
      int32_t four = 0;
      if (present) std::memcpy(&four, x.q + 32 * block + 4 * j, 4);
      std::memcpy(to + 64 * j, &four, 4);
    }
    s.x_scale[block] = present ? x.scale[block] : 0.0f;
    s.x_start[block] = present ? start_of<nibbles>(x.sum[2 * block] + x.sum[2 * block + 1]) : 0;
  }
}

DOTORI_INLINE void prefetch_bytes(const uint8_t* at, int64_t bytes) {
  for (int64_t line = 0; line < bytes; line += 64) prefetch(at + line);
}

// up[j] . x. One lane is one block of 32 columns.
template <bool nibbles>
DOTORI_INLINE float split_dot(const uint8_t* row, int64_t lanes, const SparseScratch& s) {
  constexpr int64_t kLaneBytes = nibbles ? 16 : 32;
  const auto* scales = reinterpret_cast<const uint16_t*>(row + lanes * kLaneBytes);
  F acc = f_zero();
  for (int64_t lane = 0; lane < lanes; lane += 16) {
    const int64_t stride = split_stride(lanes, lane);
    const uint8_t* vectors = row + lane * kLaneBytes;
    const int8_t* x = s.x + lane * 32;
    I dot = i_zero();
    if constexpr (nibbles) {
      N sums = nibbles_begin(0);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const B v = b_load(vectors + j * stride);
        sums = dot4_nibbles_each(sums, b_low(v), x + 64 * j);
        sums = dot4_nibbles_each(sums, b_high(v), x + 64 * (j + 4));
      }
      dot = nibbles_end(sums, 0);
    } else {
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) dot = dot4_flipped_each(dot, b_load(vectors + j * stride), x + 64 * j);
    }
    dot = i_add(dot, i_load(s.x_start + lane));
    acc = f_fma(f_mul(f_load_f16(scales + lane), f_load(s.x_scale + lane)), f_of(dot), acc);
  }
  return f_sum(acc);
}

// Lists the neurons whose gate is positive and clears the others. Without branches: the signs are as good as random.
int list_active(float* h, int64_t count, int32_t* active) {
  int found = 0;
  for (int64_t n = 0; n < count; ++n) {
    const bool on = h[n] > 0.0f;
    active[found] = static_cast<int32_t>(n);
    found += on;
    h[n] = on ? h[n] : 0.0f;
  }
  return found;
}

// The neurons of a group that count, rounded up to fours by repeats with h = 0.
struct ActiveGroup {
  const uint8_t* neurons[kGroupNeurons];
  int8_t h[kGroupNeurons];
  int count;
  int32_t start;
  float factor;  // of h and the router
  const uint16_t* scales;
};

template <bool nibbles>
void gather_group(const uint8_t* group, int64_t hidden_size, int64_t index, float weight, const SparseScratch& s,
                  ActiveGroup& active) {
  constexpr DType kType = nibbles ? DType::Q4_0 : DType::Q8_0;
  const int64_t bytes = neuron_stride(kType, hidden_size);
  const int8_t* h = s.h_q + index * kGroupNeurons;
  int found = 0;
  for (int n = 0; n < kGroupNeurons; ++n) {
    active.neurons[found] = group + n * bytes;
    active.h[found] = h[n];
    found += h[n] != 0;
  }
  for (; found % 4 != 0; ++found) {
    active.neurons[found] = active.neurons[0];
    active.h[found] = 0;
  }
  active.count = found;
  active.start = start_of<nibbles>(s.h_sum[2 * index] + s.h_sum[2 * index + 1]);
  active.factor = s.h_scale[index] * weight;
  active.scales = reinterpret_cast<const uint16_t*>(group + group_scales_at(kType, hidden_size));
}

// totals[d] = sum over the group of h w, for the dimensions of the vector at byte `at` of every neuron.
template <bool nibbles>
DOTORI_INLINE void sum_neurons(const ActiveGroup& group, int64_t at, int32_t* totals) {
  for (int part = 0; part < 64 / kPartBytes; ++part) {
    PartSums low[4], high[4];
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) low[q] = high[q] = part_zero();
    for (int i = 0; i < group.count; i += 4) {
      const uint8_t* const* neurons = group.neurons + i;
      const int64_t place = at + part * kPartBytes;
      Part four[4];
      part_interleave(part_load(neurons[0] + place), part_load(neurons[1] + place), part_load(neurons[2] + place),
                      part_load(neurons[3] + place), four);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        if constexpr (nibbles) {
          low[q] = part_nibbles(low[q], part_low(four[q]), group.h + i);
          high[q] = part_nibbles(high[q], part_high(four[q]), group.h + i);
        } else {
          low[q] = part_bytes(low[q], four[q], group.h + i);
        }
      }
    }
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      int32_t* to = totals + 16 * q + part * (kPartBytes / 4);
      if constexpr (nibbles) {
        part_store_nibbles(to, low[q]);
        part_store_nibbles(to + 64, high[q]);
      } else {
        part_store_bytes(to, low[q]);
      }
    }
  }
}

// What will be read, in its order: the active neurons from the first group on, then `next`. A core waits for some
// thirty lines at a time; asking for more blocks it, and asking for none leaves memory idle. So a few lines are asked
// for between all pieces of work.
struct Ahead {
  const uint8_t* groups;
  const int32_t* active;
  int found;
  const uint8_t* next;  // or null
  int index;          // the neuron of `active` that is being asked for
  const uint8_t* at;  // what comes next of it
  const uint8_t* end;
};

template <bool nibbles>
DOTORI_INLINE void begin_piece(Ahead& a, int64_t hidden_size) {
  constexpr DType kType = nibbles ? DType::Q4_0 : DType::Q8_0;
  const int64_t bytes = neuron_stride(kType, hidden_size);
  if (a.index < a.found) {
    a.at = a.groups + split_row_at(kType, hidden_size, a.active[a.index]) - neuron_bytes(kType, hidden_size);
  } else {
    a.at = a.next ? a.next + (a.index - a.found) * bytes : a.groups;
  }
  a.end = a.at + bytes;
}

template <bool nibbles>
DOTORI_INLINE void ask_for(Ahead& a, int lines, int64_t hidden_size) {
  for (int line = 0; line < lines; ++line, a.at += 64) {
    if (a.at >= a.end) {
      ++a.index;
      begin_piece<nibbles>(a, hidden_size);
    }
    prefetch(a.at);
  }
}

// out += the group's share; meanwhile asks for the scales of the next group, which stand where `next` says, and on.
template <bool nibbles>
void add_group(const ActiveGroup& group, const uint16_t* next, Ahead& ahead, int done, int64_t hidden_size,
               float* out) {
  constexpr int64_t kDimensions = nibbles ? 128 : 64;
  const F factor = f_all(group.factor);
  const I start = i_all(group.start);
  for (int64_t begin = 0; begin < hidden_size; begin += kDimensions) {
    for (int64_t line = 0; line < kDimensions; line += 32) prefetch(next + begin + line);
    if (ahead.index - done < kMostAhead) ask_for<nibbles>(ahead, kLinesInDown, hidden_size);
    alignas(64) int32_t totals[kDimensions];
    sum_neurons<nibbles>(group, begin / kDimensions * 64, totals);
    const int64_t count = hidden_size - begin < kDimensions ? hidden_size - begin : kDimensions;
    for (int64_t d = 0; d < count; d += 16) {
      const F scale = f_mul(f_load_f16(group.scales + begin + d), factor);
      float* place = out + begin + d;
      f_store(place, f_fma(scale, f_of(i_add(i_load(totals + d), start)), f_load(place)));
    }
  }
}

// One group after another, up and then down: a neuron's down is near when its up has been read.
template <bool nibbles>
void multiply_groups(Ahead ahead, int64_t hidden_size, int64_t count, float weight, const SparseScratch& s,
                     float* out) {
  constexpr DType kType = nibbles ? DType::Q4_0 : DType::Q8_0;
  const int64_t lanes = split_lanes(hidden_size), bytes = group_bytes(kType, hidden_size);
  const int64_t scales_at = group_scales_at(kType, hidden_size);
  ActiveGroup group;
  begin_piece<nibbles>(ahead, hidden_size);
  prefetch_bytes(ahead.groups + scales_at, 2 * hidden_size);
  int i = 0;
  for (int64_t index = 0; index < count; ++index) {
    const int before = i;
    for (; i < ahead.found && ahead.active[i] < (index + 1) * kGroupNeurons; ++i) {
      while (ahead.index < i + kLeastAhead) ask_for<nibbles>(ahead, 8, hidden_size);
      if (ahead.index < i + kMostAhead) ask_for<nibbles>(ahead, kLinesInUp, hidden_size);
      const int32_t n = ahead.active[i];
      s.h[n] *= split_dot<nibbles>(ahead.groups + split_row_at(kType, hidden_size, n), lanes, s);
    }
    if (i == before) continue;
    const int64_t at = index * kGroupNeurons;
    quantize(s.h + at, kGroupNeurons, s.h_q + at, s.h_scale + index, s.h_sum + 2 * index);
    const uint8_t* here = ahead.groups + index * bytes;
    gather_group<nibbles>(here, hidden_size, index, weight, s, group);
    const uint8_t* next = here + scales_at + (index + 1 < count ? bytes : 0);
    const auto* next_scales = reinterpret_cast<const uint16_t*>(next);
    if (group.count > 0) add_group<nibbles>(group, next_scales, ahead, i, hidden_size, out);
  }
}

template <bool nibbles>
int multiply_expert(const SparseExpert& expert, int begin, int end, const Inputs& x, float weight, float* out,
                    float* scratch, const uint8_t* next) {
  constexpr DType kType = nibbles ? DType::Q4_0 : DType::Q8_0;
  const int64_t hidden = expert.hidden_size, count = end - begin;
  const SparseScratch s = divide_scratch(scratch, hidden, count);
  const uint8_t* panels = expert.gate + begin / kPanelRows * panel_bytes(kType, hidden);
  (nibbles ? matmul_q4_0 : matmul_q8_0)(panels, static_cast<int>(count / kPanelRows), x, s.h, count);
  const int found = list_active(s.h, count, s.active);
  if (found == 0) return 0;
  lay_inputs<nibbles>(x, s);
  const uint8_t* groups = expert.groups + begin / kGroupNeurons * group_bytes(kType, hidden);
  const Ahead ahead{groups, s.active, found, next, 0, nullptr, nullptr};
  multiply_groups<nibbles>(ahead, hidden, count / kGroupNeurons, weight, s, out);
  return found;
}

}  // namespace

int sparse_ffn(const SparseExpert& expert, int begin, int end, const Inputs& x, float weight, float* out,
               float* scratch, const uint8_t* next) {
  if (expert.type == DType::Q4_0) return multiply_expert<true>(expert, begin, end, x, weight, out, scratch, next);
  return multiply_expert<false>(expert, begin, end, x, weight, out, scratch, next);
}
