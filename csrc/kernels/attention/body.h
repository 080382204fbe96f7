// attention() and store_key_value() in vector words; their contract is in attention.h.
//
// A block of queries walks the tiles of positions. Within a block, rows (one query of one token each) go through the
// registers in row tiles of up to kRowTile; kSums words of sums are held at a time. Scores and sums of values are the
// same product: numbers of the rows, one by one, times vectors of float16, the keys' panels or the values' rows. Every
// sum is one chain of f_fma in one order, so that its bits do not depend on the rows beside it.

// Where one block of rows keeps its state, all in the caller's scratch.
struct BlockState {
  float* q;         // by row tile: (H, rows of the tile), multiplied by the scale
  float* scores;    // (rows, kTile), then weights
  float* sum;       // (rows, H), of values
  float* weights;   // (rows, 16), parts of the sum of weights
  float* largest;   // (rows)
  int first, rows;  // of T * G
};

// The positions of one tile that some query sees: [from, to), counted from the tile's first.
struct Seen {
  int from, to;
};

static BlockState block_state(float* scratch, int head_dim, int first, int rows) {
  BlockState s{};
  s.q = scratch;
  s.sum = s.q + rows * head_dim;
  s.scores = s.sum + rows * head_dim;
  s.weights = s.scores + rows * kTile;
  s.largest = s.weights + rows * 16;
  s.first = first;
  s.rows = rows;
  return s;
}

static int lowest_seen(const Queries& queries, int position) {
  const int lowest = queries.window > 0 ? position - queries.window + 1 : 0;
  return lowest > 0 ? lowest : 0;
}

// What the rows [first, last] of T * G see of the tile: they are neighbours, so it is one range.
static Seen seen_by(const Queries& queries, int first, int last, int tile) {
  const int from = lowest_seen(queries, queries.first_position + first / queries.group) - tile;
  const int to = queries.first_position + last / queries.group + 1 - tile;
  return {from > 0 ? from : 0, to < kTile ? to : kTile};
}

// sum[r][p] += sum over k of rows[k * kNext + r * kRow] * vector p of step k. While vectors of one tile are read, those
// that come after it are on their way from memory: 32 P bytes of `ahead` for as many read.
template <int R, int P, int kNext, int kRow>
DOTORI_INLINE void multiply(F (&sum)[R][P], const float* rows, const uint16_t* vectors, int64_t next, int64_t panel,
                            int count, const uint16_t* ahead) {
  for (int k = 0; k < count; ++k) {
    F vector[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) vector[p] = f_load_f16(vectors + p * panel);
#pragma GCC unroll 8
    for (int p = 0; p < P; p += 2) prefetch(ahead + p * 16);
    ahead += P * 16;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const F number = f_all(rows[r * kRow]);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) sum[r][p] = f_fma(vector[p], number, sum[r][p]);
    }
    vectors += next;
    rows += kNext;
  }
}

// Scores of R rows against P panels of keys.
template <int R, int P>
DOTORI_INLINE void score_panels(const float* q, const uint16_t* keys, int head_dim, float* scores,
                                const uint16_t* ahead) {
  F sum[R][P];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) sum[r][p] = f_zero();
  }
  multiply<R, P, R, 1>(sum, q, keys, 16, 16 * head_dim, head_dim, ahead);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) f_store(scores + r * kTile + 16 * p, sum[r][p]);
  }
}

// R rows' sums of P vectors of each value, `count` positions.
template <int R, int P>
DOTORI_INLINE void add_values(const float* weights, const uint16_t* values, int head_dim, int count, float* sums,
                              const uint16_t* ahead) {
  F sum[R][P];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) sum[r][p] = f_load(sums + r * head_dim + 16 * p);
  }
  multiply<R, P, 1, kTile>(sum, weights, values, head_dim, 16, count, ahead);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) f_store(sums + r * head_dim + 16 * p, sum[r][p]);
  }
}

constexpr int wide_of(int rows) { return 4 * rows <= kSums ? 4 : 2 * rows <= kSums ? 2 : 1; }

static void hide_panel(float* scores, int rows, int panel) {
  for (int r = 0; r < rows; ++r) f_store(scores + r * kTile + 16 * panel, f_all(-__builtin_inff()));
}

// The panels in [seen.from, seen.to) get scores, the others of the tile -infinity.
template <int R>
static void score_tile(const float* q, const uint16_t* keys, int head_dim, Seen seen, float* scores,
                       const uint16_t* ahead) {
  constexpr int kWide = wide_of(R);
  const int begin = seen.from / (16 * kWide) * kWide, end = (seen.to + 15) / 16;
  int panel = 0;
  for (; panel < begin; ++panel) hide_panel(scores, R, panel);
  for (; panel < end; panel += kWide) {
    const int64_t at = static_cast<int64_t>(panel) * 16 * head_dim;
    score_panels<R, kWide>(q, keys + at, head_dim, scores + 16 * panel, ahead + at);
  }
  for (; panel < kTile / 16; ++panel) hide_panel(scores, R, panel);
}

template <int R>
static void value_tile(const float* weights, const uint16_t* values, int head_dim, Seen seen, float* sums,
                       const uint16_t* ahead) {
  constexpr int kWide = wide_of(R);
  weights += seen.from;
  values += static_cast<int64_t>(seen.from) * head_dim;
  const int count = seen.to - seen.from;
  int column = 0;
  for (; column + 16 * kWide <= head_dim; column += 16 * kWide) {
    add_values<R, kWide>(weights, values + column, head_dim, count, sums + column, ahead + column * kTile);
  }
  for (; column < head_dim; column += 16) {
    add_values<R, 1>(weights, values + column, head_dim, count, sums + column, ahead + column * kTile);
  }
}

// A tile's length of infinity, of -infinity and of infinity: the smaller of a score and a part of it hides what lies
// before or behind a position.
struct Limits {
  float of[3 * kTile];
};
static constexpr Limits make_limits() {
  Limits limits{};
  for (int i = 0; i < 3 * kTile; ++i) limits.of[i] = i / kTile == 1 ? -__builtin_inff() : __builtin_inff();
  return limits;
}
static constexpr Limits kLimits = make_limits();

// One row's scores become weights e^(score - largest); when the largest grows, what was summed before shrinks. It stays
// one function, so that the compiler fuses its products and sums in one way for every row.
__attribute__((noinline)) static void weigh(float* scores, Seen seen, int head_dim, float* largest, float* weights,
                                            float* sums) {
  constexpr int kPanels = kTile / 16;
  if (seen.from >= seen.to) {
    for (int p = 0; p < kPanels; ++p) f_store(scores + 16 * p, f_zero());
    return;
  }
  F s[kPanels];
  for (int p = 0; p < kPanels; ++p) s[p] = f_load(scores + 16 * p);
  if (seen.from > 0 || seen.to < kTile) {
    const float* behind = kLimits.of + kTile - seen.to;
    const float* before = kLimits.of + 2 * kTile - seen.from;
    for (int p = 0; p < kPanels; ++p) s[p] = f_min(f_min(s[p], f_load(behind + 16 * p)), f_load(before + 16 * p));
  }
  F sum = f_load(weights);
  const float tile_largest = f_largest(f_max(f_max(s[0], s[1]), f_max(s[2], s[3])));
  if (tile_largest > *largest) {
    const F shrink = f_exp_of_negative(f_all(*largest - tile_largest));
    sum = f_mul(sum, shrink);
    for (int column = 0; column < head_dim; column += 16) {
      f_store(sums + column, f_mul(f_load(sums + column), shrink));
    }
    *largest = tile_largest;
  }
  const F top = f_all(*largest);
  for (int p = 0; p < kPanels; ++p) {
    const F weight = f_exp_of_negative(f_sub(s[p], top));
    sum = f_add(sum, weight);
    f_store(scores + 16 * p, weight);
  }
  f_store(weights, sum);
}

// Rows [row, row + R) of a block meet the tile at `tile`.
template <int R>
static void meet(const KeyValues& cache, const Queries& queries, const BlockState& s, int row, int tile) {
  const int head_dim = cache.head_dim, first = s.first + row;
  const Seen seen = seen_by(queries, first, first + R - 1, tile);
  if (seen.from >= seen.to) return;
  const int64_t at = tile % cache.capacity / kTile * cache.tile_stride;
  const int64_t next = (tile + kTile) % cache.capacity / kTile * cache.tile_stride;
  const uint16_t* values = cache.values + at;
  float *scores = s.scores + row * kTile, *sums = s.sum + row * head_dim;
  score_tile<R>(s.q + row * head_dim, cache.keys + at, head_dim, seen, scores, values);
  for (int r = 0; r < R; ++r) {
    weigh(scores + r * kTile, seen_by(queries, first + r, first + r, tile), head_dim, s.largest + row + r,
          s.weights + (row + r) * 16, sums + r * head_dim);
  }
  value_tile<R>(scores, values, head_dim, seen, sums, cache.keys + next);
}

static void meet_rows(const KeyValues& cache, const Queries& queries, const BlockState& s, int row, int rows,
                      int tile) {
  static_assert(kRowTile == 6 || kRowTile == 8);
  switch (rows) {
    case 1: return meet<1>(cache, queries, s, row, tile);
    case 2: return meet<2>(cache, queries, s, row, tile);
    case 3: return meet<3>(cache, queries, s, row, tile);
    case 4: return meet<4>(cache, queries, s, row, tile);
    case 5: return meet<5>(cache, queries, s, row, tile);
    case 6: return meet<6>(cache, queries, s, row, tile);
    case 7: return meet<kRowTile == 8 ? 7 : 1>(cache, queries, s, row, tile);
    case 8: return meet<kRowTile == 8 ? 8 : 1>(cache, queries, s, row, tile);
  }
}

// Row tile i of n takes the rows [i * rows / n, (i + 1) * rows / n): about as many each.
static int row_tiles(int rows) { return (rows + kRowTile - 1) / kRowTile; }

static void begin_block(const Queries& queries, const BlockState& s, int head_dim) {
  const int tiles = row_tiles(s.rows);
  for (int i = 0; i < tiles; ++i) {
    const int row = i * s.rows / tiles, count = (i + 1) * s.rows / tiles - row;
    for (int r = 0; r < count; ++r) {
      const int index = s.first + row + r;
      const float* q = queries.q + index / queries.group * queries.q_stride + index % queries.group * head_dim;
      float* to = s.q + row * head_dim + r;
      for (int k = 0; k < head_dim; ++k) to[k * count] = q[k] * queries.scale;
    }
  }
  for (int i = 0; i < s.rows * head_dim; i += 16) f_store(s.sum + i, f_zero());
  for (int i = 0; i < s.rows; ++i) f_store(s.weights + 16 * i, f_zero());
  for (int i = 0; i < s.rows; ++i) s.largest[i] = -3e38f;  // finite, so that its distance to a score is a number
}

static void end_block(const Queries& queries, const BlockState& s, int head_dim) {
  for (int row = 0; row < s.rows; ++row) {
    const int index = s.first + row;
    float* out = queries.out + index / queries.group * queries.out_stride + index % queries.group * head_dim;
    const F inverse = f_all(1.0f / f_sum(f_load(s.weights + 16 * row)));
    for (int i = 0; i < head_dim; i += 16) {
      // A sum of -0 becomes 0 where it meets the zero weight of a position that only its neighbours see: 0 always.
      f_store(out + i, f_add(f_mul(f_load(s.sum + row * head_dim + i), inverse), f_zero()));
    }
  }
}

void attention(const KeyValues& cache, const Queries& queries, float* scratch) {
  const int all = queries.tokens * queries.group;
  for (int first = 0; first < all; first += kBlockRows) {
    const int rows = all - first < kBlockRows ? all - first : kBlockRows;
    const BlockState s = block_state(scratch, cache.head_dim, first, rows);
    begin_block(queries, s, cache.head_dim);
    const int last = queries.first_position + (first + rows - 1) / queries.group;
    const int lowest = lowest_seen(queries, queries.first_position + first / queries.group);
    const int tiles = row_tiles(rows);
    for (int tile = lowest / kTile * kTile; tile <= last; tile += kTile) {
      for (int i = 0; i < tiles; ++i) {
        const int row = i * rows / tiles;
        meet_rows(cache, queries, s, row, (i + 1) * rows / tiles - row, tile);
      }
    }
    end_block(queries, s, cache.head_dim);
  }
}

void store_key_value(const KeyValues& cache, int position, const float* key, const float* value) {
  const int64_t slot = position % cache.capacity, tile = slot / kTile * cache.tile_stride;
  const int head_dim = cache.head_dim, place = slot % kTile;
  uint16_t* panel = cache.keys + tile + place / 16 * 16 * head_dim + place % 16;
  uint16_t* values = cache.values + tile + place * head_dim;
  for (int i = 0; i < head_dim; i += 16) {
    uint16_t halves[16];
    f_store_f16(halves, f_load(key + i));
    for (int lane = 0; lane < 16; ++lane) panel[16 * (i + lane)] = halves[lane];
    f_store_f16(values + i, f_load(value + i));
  }
}
