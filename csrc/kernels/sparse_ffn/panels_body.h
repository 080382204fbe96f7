// Panels from the sparse layouts in vector words: the same bytes as up_panel and down_panel of pack.cc give.
//
// Four vectors at a time are turned within their 16-byte parts, which are then four lanes of a panel each.

namespace {

// Vector j of the rows' lanes `lane` .. `lane` + 15 becomes vector j of as many blocks of the panel. The next panel's
// rows, `next` bytes on, are asked for.
template <int body_bytes>
DOTORI_INLINE void turn_rows(const uint8_t* rows, int64_t stride, int64_t next, int64_t lane, int64_t j, uint8_t* out) {
  constexpr int64_t kBlocksPerPart = kPartBytes / 4;
  // Sixteen bytes of a turned vector belong to one block, the next sixteen to the fourth block from there.
  constexpr int64_t kStep = body_at(4, body_bytes) - body_at(0, body_bytes);
  for (int64_t part = 0; part < 64 / kPartBytes; ++part) {
    for (int64_t r = 0; r < kPanelRows; r += 4) {
      const uint8_t* from = rows + r * stride + part * kPartBytes;
      for (int64_t i = 0; i < 4; ++i) prefetch(from + i * stride + next);
      Part four[4];
      part_turn(part_load(from), part_load(from + stride), part_load(from + 2 * stride), part_load(from + 3 * stride),
                four);
#pragma GCC unroll 4
      for (int64_t k = 0; k < 4; ++k) {
        const int64_t block = lane + part * kBlocksPerPart + k;
        part_store_sixteens(out + body_at(block, body_bytes) + 64 * j + 4 * r, kStep, four[k]);
      }
    }
  }
}

template <bool nibbles>
void up_panels_of(const SparseExpert& expert, int first, int count, uint8_t* out) {
  constexpr DType kType = nibbles ? DType::Q4_0 : DType::Q8_0;
  constexpr int kBody = nibbles ? kQ4_0Body : kQ8_0Body;
  const int64_t cols = expert.hidden_size, whole = cols / 32 / 16 * 16, stride = neuron_stride(kType, cols);
  for (int panel = first; panel < first + count; ++panel, out += panel_bytes(kType, cols)) {
    const int64_t at = static_cast<int64_t>(panel) * kPanelRows;
    const uint8_t* rows = expert.groups + split_row_at(kType, cols, at);
    const uint8_t* scales = rows + split_scales_at(kType, cols);
    const int64_t next = split_row_at(kType, cols, at + kPanelRows) - split_row_at(kType, cols, at);
    for (int64_t lane = 0; lane < whole; lane += 16) {
      for (int64_t j = 0; j < kBody / 64; ++j) {
        turn_rows<kBody>(rows + lane * lane_bytes(kType) + 64 * j, stride, next, lane, j, out);
      }
      for (int64_t block = lane; block < lane + 16; block += 2) {
        uint8_t* to = out + scales_at(block, kBody);
        for (int64_t r = 0; r < kPanelRows; ++r) {
          std::memcpy(to + 2 * r, scales + r * stride + 2 * block, 2);
          std::memcpy(to + kScaleBytes + 2 * r, scales + r * stride + 2 * block + 2, 2);
        }
      }
    }
    up_panel(expert, panel, static_cast<int>(whole), out);  // what remains of the blocks
  }
}

// The panels that vector `vector` of every neuron makes up: four, or of Q4_0 eight, the last ones in high nibbles.
template <bool nibbles>
void down_vector(const SparseExpert& expert, int64_t vector, int count, int64_t panel_stride, uint8_t* out) {
  constexpr DType kType = nibbles ? DType::Q4_0 : DType::Q8_0;
  constexpr int kBody = nibbles ? kQ4_0Body : kQ8_0Body;
  const int64_t hidden = expert.hidden_size, stride = neuron_stride(kType, hidden);
  for (int64_t block = 0; block < expert.neurons / kGroupNeurons; ++block) {
    const uint8_t* group = expert.groups + block * group_bytes(kType, hidden);
    const uint8_t* scales = group + group_scales_at(kType, hidden) + 64 * vector * (nibbles ? 4 : 2);
    for (int p = 0; p < count; ++p) {
      std::memcpy(out + p * panel_stride + scales_at(block, kBody), scales + kScaleBytes * p, kScaleBytes);
    }
    for (int64_t j = 0; j < kBody / 64; ++j) {
      const uint8_t* neurons = group + 64 * vector + 4 * j * stride;
      for (int i = 0; i < 4; ++i) {  // the next vector's turn comes after this one's products
        prefetch(neurons + i * stride + 64);
        if (nibbles) prefetch(neurons + (16 + i) * stride + 64);
      }
      for (int64_t part = 0; part < 64; part += kPartBytes) {
        const uint8_t* from = neurons + part;
        uint8_t* to = out + body_at(block, kBody) + 64 * j + part;
        Part near[4], far[4];
        part_interleave(part_load(from), part_load(from + stride), part_load(from + 2 * stride),
                        part_load(from + 3 * stride), near);
        if constexpr (nibbles) {
          from += 16 * stride;
          part_interleave(part_load(from), part_load(from + stride), part_load(from + 2 * stride),
                          part_load(from + 3 * stride), far);
        }
#pragma GCC unroll 4
        for (int p = 0; p < 4; ++p) {
          part_store(to + p * panel_stride, nibbles ? part_join_low(near[p], far[p]) : near[p]);
          if (nibbles && count > 4) part_store(to + (4 + p) * panel_stride, part_join_high(near[p], far[p]));
        }
      }
    }
  }
}

template <bool nibbles>
void down_panels_of(const SparseExpert& expert, int first, int count, uint8_t* out) {
  constexpr DType kType = nibbles ? DType::Q4_0 : DType::Q8_0;
  constexpr int kPanels = nibbles ? 8 : 4;
  const int64_t bytes = panel_bytes(kType, expert.neurons), blocks = expert.neurons / kGroupNeurons;
  for (int p = 0; p < count; p += kPanels) {
    const int some = count - p < kPanels ? count - p : kPanels;
    down_vector<nibbles>(expert, (first + p) / kPanels, some, bytes, out + p * bytes);
  }
  // A panel's last pair of blocks has scales for a second block, which are zero when there is none.
  if (blocks % 2 == 0) return;
  for (int p = 0; p < count; ++p) {
    std::memset(out + p * bytes + scales_at(blocks, nibbles ? kQ4_0Body : kQ8_0Body), 0, kScaleBytes);
  }
}

}  // namespace

void up_panels(const SparseExpert& expert, int first, int count, uint8_t* out) {
  if (expert.type == DType::Q4_0) return up_panels_of<true>(expert, first, count, out);
  up_panels_of<false>(expert, first, count, out);
}

void down_panels(const SparseExpert& expert, int first, int count, uint8_t* out) {
  if (expert.type == DType::Q4_0) return down_panels_of<true>(expert, first, count, out);
  down_panels_of<false>(expert, first, count, out);
}
