// The quantized products of several tokens, by lots; included by body.h.
//
// A lot is some columns of some tokens. Its activations are laid out tile by tile as the products ask for them, so that
// one pointer finds them all: with a pointer for each token and array, a tile has more addresses than the processor has
// registers. Where tokens are many, columns of a panel are unpacked into the nearest cache too, once for all of them.
// Sums pass from one lot of columns to the next through y, in float32: with the bits of sums that stay in registers.

// A lot's activations: tiles of T tokens (the last may be narrower) one after the other, in each
//   q       the T tokens' columns 0 .. 3, then their columns 4 .. 7, ...
//   scale   the T tokens' first scales, then their second ones, ...
//   start   their starts (formats.h), likewise, the two halves of 32 columns following one another where kParts is 2
//   total   scale * sum, for minima
template <typename Format, int kTokens, int kColumns>
struct LotInputs {
  alignas(64) int8_t q[kTokens * kColumns];
  float scale[kTokens * (kColumns / 32)];
  int32_t start[kTokens * (kColumns / 32) * Format::kParts];
  float total[Format::kHasMinimum ? kTokens * (kColumns / 32) : 1];
};

// A tile of T tokens within a lot.
template <int T>
struct LotTile {
  const int8_t* q;
  const float* scales;
  const int32_t* starts;
  const float* totals;

  DOTORI_INLINE const int8_t* four(const LotTile& tile, int t, int64_t column) { return tile.q + column * T + 4 * t; }
  DOTORI_INLINE float scale(const LotTile& tile, int t, int64_t column) { return tile.scales[column / 32 * T + t]; }
  template <typename Format>
  DOTORI_INLINE int32_t start(const LotTile& tile, int t, int64_t column, int part) {
    return tile.starts[(column / 32 * Format::kParts + part) * T + t];
  }
  DOTORI_INLINE float total(const LotTile& tile, int t, int64_t column) { return tile.totals[column / 32 * T + t]; }
};

// Lays the columns from `column` on of a tile of `width` tokens, from `first` on, out as `tile`.
template <typename Format, typename Lot>
static void gather_tile(const Inputs& x, int first, int width, int64_t column, int64_t columns, int64_t at, Lot& lot) {
  int8_t* q = lot.q + at * columns;
  float* scale = lot.scale + at * (columns / 32);
  int32_t* start = lot.start + at * (columns / 32) * Format::kParts;
  for (int t = 0; t < width; ++t) {
    const int64_t token = first + t;
    const int8_t* from = x.q + token * x.cols + column;
    for (int64_t c = 0; c < columns; c += 4) std::memcpy(q + c * width + 4 * t, from + c, 4);
    const float* scales = x.scale + (token * x.cols + column) / 32;
    const int32_t* sums = x.sum + (token * x.cols + column) / 16;
    for (int64_t group = 0; group < columns / 32; ++group) {
      const int32_t left = sums[2 * group], right = sums[2 * group + 1];
      scale[group * width + t] = scales[group];
      start[group * Format::kParts * width + t] = Format::start(Format::kParts == 1 ? left + right : left);
      if (Format::kParts == 2) start[(group * 2 + 1) * width + t] = Format::start(right);
      if (Format::kHasMinimum) {
        lot.total[at * (columns / 32) + group * width + t] = static_cast<float>(left + right) * scales[group];
      }
    }
  }
}

// 32 unpacked columns of a panel, with the names of formats.h.
template <typename Format>
struct Unpacked {
  static constexpr int kSteps = 1, kParts = Format::kParts, kScales = kParts + (Format::kHasMinimum ? 1 : 0);
  static constexpr bool kHasMinimum = Format::kHasMinimum, kNibbles = Format::kNibbles, kFlipped = Format::kFlipped;
  const uint8_t* bytes;
  const float* scales;

  DOTORI_INLINE Unpacked at(const uint8_t* panel, int64_t index) {
    const uint8_t* bytes = panel + index * kStepBytes;
    return {bytes, reinterpret_cast<const float*>(bytes + 8 * kVectorBytes)};
  }
  static constexpr int kStepBytes = (8 + kScales) * kVectorBytes;
  DOTORI_INLINE void ask(const Unpacked&) {}
  template <int step>
  DOTORI_INLINE B vector(const Unpacked& unit, int j) {
    return b_load(unit.bytes + 64 * j);
  }
  template <int step>
  DOTORI_INLINE F scale(const Unpacked& unit, int part) {
    return f_load(unit.scales + 16 * part);
  }
  template <int step>
  DOTORI_INLINE F minimum(const Unpacked& unit) {
    return f_load(unit.scales + 16 * kParts);
  }
};

template <typename Format, int step>
DOTORI_INLINE void unpack_step(const Format& unit, uint8_t* to) {
  uint8_t* bytes = to + step * Unpacked<Format>::kStepBytes;
  float* scales = reinterpret_cast<float*>(bytes + 8 * kVectorBytes);
#pragma GCC unroll 8
  for (int j = 0; j < 8; ++j) b_store(bytes + 64 * j, Format::template vector<step>(unit, j));
#pragma GCC unroll 2
  for (int part = 0; part < Format::kParts; ++part) {
    f_store(scales + 16 * part, Format::template scale<step>(unit, part));
  }
  if constexpr (Format::kHasMinimum) f_store(scales + 16 * Format::kParts, Format::template minimum<step>(unit));
}

// `columns` columns of a panel from `column` on.
template <typename Format>
static void unpack(const uint8_t* panel, int64_t column, int64_t columns, uint8_t* to) {
  constexpr int kUnit = 32 * Format::kSteps;
  for (int64_t index = column / kUnit; index < (column + columns) / kUnit; ++index) {
    const Format unit = Format::at(panel, index);
    Format::ask(unit);
    unpack_step<Format, 0>(unit, to);
    if constexpr (Format::kSteps > 1) unpack_step<Format, 1>(unit, to);
    if constexpr (Format::kSteps > 2) unpack_step<Format, 2>(unit, to);
    if constexpr (Format::kSteps > 2) unpack_step<Format, 3>(unit, to);
    to += Format::kSteps * Unpacked<Format>::kStepBytes;
  }
}

// Columns column .. column + columns - 1 of P panels with a tile, to be added to y (T rows) unless they are the first.
// The panels begin with column `before`.
template <typename Format, int P, int T>
static void lot_times(const uint8_t* panels, int64_t bytes, int64_t before, const LotTile<T>& tile, int64_t column,
                      int64_t columns, float* y, int64_t y_stride) {
  F acc[T][P];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) acc[t][p] = column == 0 ? f_zero() : f_load(y + t * y_stride + p * kPanelRows);
  }
  add_columns<Format, P, T, true>(panels, bytes, (column - before) / (32 * Format::kSteps), tile, columns, acc);
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) f_store(y + t * y_stride + p * kPanelRows, acc[t][p]);
  }
}

// Where the tiles of a lot lie and what they are multiplied with.
template <typename Lot>
struct LotWork {
  const Lot& lot;
  int64_t column, columns;
  int tokens, parts;
  int64_t y_stride;
};

template <typename Format, int P, int T, typename Lot>
static void lot_tiles(const uint8_t* panels, int64_t bytes, int64_t before, const LotWork<Lot>& work, int done,
                      float* y) {
  const int64_t groups = work.columns / 32;
  for (; done + T <= work.tokens; done += T) {
    const LotTile<T> tile = {work.lot.q + done * work.columns, work.lot.scale + done * groups,
                             work.lot.start + done * groups * work.parts, work.lot.total + done * groups};
    lot_times<Format, P, T>(panels, bytes, before, tile, work.column, work.columns, y + done * work.y_stride,
                            work.y_stride);
  }
  if constexpr (T > 1) {
    if (done < work.tokens) lot_tiles<Format, P, T - 1>(panels, bytes, before, work, done, y);
  }
}

// A lot with all panels, P at a time.
template <typename Format, bool kUnpacks, int P, int T, int kColumns, typename Lot>
static void lot_panels(int64_t bytes, const uint8_t* panels, int count, const LotWork<Lot>& work, float* y) {
  constexpr int64_t kUnpackedBytes = kColumns / 32 * Unpacked<Format>::kStepBytes;
  alignas(64) uint8_t unpacked[kUnpacks ? P * kUnpackedBytes : 1];
  for (; count >= P; count -= P, panels += P * bytes, y += P * kPanelRows) {
    if constexpr (kUnpacks) {
      for (int p = 0; p < P; ++p) {
        unpack<Format>(panels + p * bytes, work.column, work.columns, unpacked + p * kUnpackedBytes);
      }
      lot_tiles<Unpacked<Format>, P, T>(unpacked, kUnpackedBytes, work.column, work, 0, y);
    } else {
      lot_tiles<Format, P, T>(panels, bytes, 0, work, 0, y);
    }
  }
  if constexpr (P > 1) {
    if (count > 0) lot_panels<Format, kUnpacks, 1, T, kColumns>(bytes, panels, count, work, y);
  }
}

template <typename Format, bool kUnpacks, int P, int T, int kTokens, int kColumns>
static void multiply_lots(int64_t bytes, const uint8_t* panels, int count, const Inputs& x, float* y,
                          int64_t y_stride) {
  using Lot = LotInputs<Format, kTokens, kColumns>;
  Lot lot;
  for (int first = 0; first < x.tokens; first += kTokens) {
    const int tokens = x.tokens - first < kTokens ? x.tokens - first : kTokens;
    for (int64_t column = 0; column < x.cols; column += kColumns) {
      const int64_t columns = x.cols - column < kColumns ? x.cols - column : kColumns;
      for (int done = 0; done < tokens; done += T) {
        gather_tile<Format>(x, first + done, tokens - done < T ? tokens - done : T, column, columns, done, lot);
      }
      const LotWork<Lot> work = {lot, column, columns, tokens, Format::kParts, y_stride};
      lot_panels<Format, kUnpacks, P, T, kColumns>(bytes, panels, count, work, y + first * y_stride);
    }
  }
}
