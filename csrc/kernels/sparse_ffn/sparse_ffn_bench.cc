// Speed of sparse experts, by the share of neurons that are on, and of the repacks for prefill.
//
//     sparse_ffn_bench [isa [type]]
//
// 1 GB of experts (beyond every cache), one after another, their neurons shared among the threads. GB/s count what must
// be read: the gate, the active neurons' rows of up and down, and the scales of their groups.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "kernels/sparse_ffn/layouts.h"
#include "kernels/sparse_ffn/test_support.h"
#include "platform/buffer.h"
#include "platform/thread_pool.h"

namespace dotori::test {
namespace {

constexpr int kHidden = 1536, kNeurons = 768;
constexpr int64_t kBytes = 1000000000, kPiece = 60000000;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Experts {
  DType type;
  std::vector<SparseExpert> items;
  uint8_t* data;
  int64_t gate_bytes, expert_bytes;
};

// Random weights in place: any bytes are weights, but scales must be ordinary numbers.
void fill_scales(uint8_t* at, int64_t count) {
  const uint16_t scale = f32_to_f16(0.01f);
  for (int64_t i = 0; i < count; ++i) put_u16(at + 2 * i, scale);
}

Experts make_experts(DType type, uint8_t* data) {
  const int64_t gate = kNeurons / 16 * panel_bytes(type, kHidden), lanes = split_lanes(kHidden);
  const int64_t group = neuron_group_bytes(type, kHidden);
  Experts experts{type, {}, data, gate, gate + kNeurons / 32 * group};
  Random random{31};
  for (int64_t at = 0; at + 4 <= kBytes; at += 4) {
    const uint32_t bits = random.bits();
    std::memcpy(data + at, &bits, 4);
  }
  const int64_t body = type == DType::Q4_0 ? 256 : 512;
  for (uint8_t* at = data; at + experts.expert_bytes <= data + kBytes; at += experts.expert_bytes) {
    for (int64_t pair = 0; pair < gate; pair += 64 + 2 * body) fill_scales(at + pair, 32);
    uint8_t* groups = at + gate;
    for (int n = 0; n < kNeurons; ++n) {
      fill_scales(groups + split_row_at(type, kHidden, n) + split_scales_at(type, kHidden), lanes);
    }
    for (int g = 0; g < kNeurons / 32; ++g) fill_scales(groups + g * group + group_scales_at(type, kHidden), kHidden);
    experts.items.push_back({type, at, groups, kHidden, kNeurons});
  }
  return experts;
}

// Makes each gate row positive or negative throughout: a lane of a panel is a row.
void set_share(const Experts& experts, double share) {
  Random random{17};
  const bool nibbles = experts.type == DType::Q4_0;
  const uint32_t bits = nibbles ? 0x88888888u : 0x80808080u;
  const int64_t panel = panel_bytes(experts.type, kHidden), pair = nibbles ? 64 + 512 : 64 + 1024;
  for (const SparseExpert& expert : experts.items) {
    uint8_t* gate = const_cast<uint8_t*>(expert.gate);
    for (int p = 0; p < kNeurons / 16; ++p) {
      bool on[16];
      for (bool& row : on) row = random.bits() < share * 0x1p32;
      for (int64_t at = 0; at < panel; at += 64) {
        if (at % pair == 0) continue;  // scales
        for (int r = 0; r < 16; ++r) {
          uint32_t four;
          std::memcpy(&four, gate + p * panel + at + 4 * r, 4);
          four = on[r] ? four | bits : four & ~bits;
          std::memcpy(gate + p * panel + at + 4 * r, &four, 4);
        }
      }
    }
  }
}

struct alignas(64) ThreadState {
  std::vector<float> out, scratch;
  int64_t active = 0;
};

// Pieces of the gigabyte are timed one by one, so that other programs disturb only some of them.
void measure(const IsaSparse& isa, const Experts& experts, double share, ThreadPool& pool) {
  Random random{3};
  const PositiveInput x(kHidden, random);
  std::vector<ThreadState> states(static_cast<size_t>(pool.size));
  for (ThreadState& state : states) {
    state.out.resize(kHidden);
    state.scratch.resize(static_cast<size_t>(sparse_ffn_scratch(kHidden, kNeurons)));
  }
  const int per_piece = static_cast<int>(kPiece / experts.expert_bytes);
  const int pieces = static_cast<int>(experts.items.size()) / per_piece;
  int piece = 0;
  auto work = [&](int thread) {
    ThreadState& state = states[static_cast<size_t>(thread)];
    const Share groups = share_of(kNeurons / 32, thread, pool.size);
    for (int e = piece * per_piece; e < (piece + 1) * per_piece; ++e) {
      const SparseExpert& expert = experts.items[static_cast<size_t>(e)];
      state.active += isa.function(expert, 32 * groups.begin, 32 * groups.end, x.inputs(), 0.25f, state.out.data(),
                                   state.scratch.data(), nullptr);
    }
  };
  double best = 0.0, best_seconds = 1e9, total = 0.0;
  for (int turn = 0; turn < pieces || total < 1.5; ++turn) {
    piece = turn % pieces;
    for (ThreadState& state : states) state.active = 0;
    const double begin = now();
    run(pool, work);
    const double seconds = now() - begin;
    total += seconds;
    int64_t active = 0;
    for (const ThreadState& state : states) active += state.active;
    const double bytes = static_cast<double>(per_piece) * (experts.gate_bytes + kNeurons / 32 * 2 * kHidden) +
                         static_cast<double>(active) * neuron_stride(experts.type, kHidden);
    best = std::max(best, bytes / seconds / 1e9);
    best_seconds = std::min(best_seconds, seconds);
  }
  std::printf("%-12s %-4s %3.0f %% active, %d threads: %5.1f GB/s, %6.1f us an expert\n", isa.name,
              name_of(experts.type), 100 * share, pool.size, best, 1e6 * best_seconds / per_piece);
  std::fflush(stdout);
}

// Each round's time of `round()`, the best.
template <typename Round>
double best_speed(double bytes, Round round) {
  double best = 0.0;
  for (int turn = 0; turn < 100; ++turn) {
    const double begin = now();
    round(turn);
    best = std::max(best, bytes / (now() - begin) / 1e9);
  }
  return best;
}

void measure_packing(const IsaSparse& isa, const Experts& experts) {
  const DType type = experts.type;
  std::vector<uint8_t> panels(
      static_cast<size_t>(kPanelsTogether * std::max(panel_bytes(type, kHidden), panel_bytes(type, kNeurons))));
  const double bytes = static_cast<double>(experts.gate_bytes);
  const double up = best_speed(bytes, [&](int turn) {
    for (int p = 0; p < kNeurons / 16; p += kPanelsTogether) {
      isa.up_panels(experts.items[static_cast<size_t>(turn)], p, kPanelsTogether, panels.data());
    }
  });
  const double down = best_speed(bytes, [&](int turn) {
    for (int p = 0; p < kHidden / 16; p += kPanelsTogether) {
      isa.down_panels(experts.items[static_cast<size_t>(turn)], p, kPanelsTogether, panels.data());
    }
  });
  Random random{9};
  const std::vector<uint8_t> up_file = random_rows(type, kNeurons, kHidden, random);
  const std::vector<uint8_t> down_file = random_rows(type, kHidden, kNeurons, random);
  const double rows = best_speed(bytes, [&](int turn) {
    uint8_t* to = const_cast<uint8_t*>(experts.items[static_cast<size_t>(turn)].groups);
    for (int n = 0; n < kNeurons; ++n) {
      pack_up(type, &up_file[static_cast<size_t>(n * row_bytes(type, kHidden))], n, kHidden, to);
    }
  });
  const double groups = best_speed(bytes, [&](int turn) {
    uint8_t* to = const_cast<uint8_t*>(experts.items[static_cast<size_t>(turn)].groups);
    for (int g = 0; g < kNeurons / 32; ++g) {
      pack_down(type, down_file.data(), row_bytes(type, kNeurons), g, kHidden, to);
    }
  });
  std::printf("%-12s %-4s up_panels %.1f, down_panels %.1f, pack_up %.1f, pack_down %.1f GB/s\n",
              isa.name, name_of(type), up, down, rows, groups);
}

}  // namespace
}  // namespace dotori::test

int main(int count, char** arguments) {
  using namespace dotori;
  using namespace dotori::test;
  const std::string wanted = count > 1 ? arguments[1] : "", wanted_type = count > 2 ? arguments[2] : "";
  Buffer memory(kBytes + 65536);
  ThreadPool one(1), two(2);
  for (DType type : {DType::Q4_0, DType::Q8_0}) {
    if (!wanted_type.empty() && wanted_type != name_of(type)) continue;
    const Experts experts = make_experts(type, memory.data);
    for (double share : {1.0, 0.5, 0.4, 0.3, 0.1}) {
      set_share(experts, share);
      for (const IsaSparse& isa : runnable_sparse()) {
        if (wanted.empty() ? std::string(isa.name) == "reference" : wanted != isa.name) continue;
        measure(isa, experts, share, one);
        measure(isa, experts, share, two);
      }
    }
    for (const IsaSparse& isa : runnable_sparse()) {
      if (wanted.empty() || wanted == isa.name) measure_packing(isa, experts);
    }
  }
}
