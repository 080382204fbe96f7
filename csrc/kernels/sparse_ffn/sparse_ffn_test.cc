// The sparse layouts against panels of the same file, and sparse experts of every instruction set against double.
#include "kernels/sparse_ffn/sparse_ffn.h"

#include <algorithm>
#include <cstring>

#include "kernels/sparse_ffn/layouts.h"
#include "kernels/sparse_ffn/test_support.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

// An expert as a file has it and as kernels read it. Packed arrays have no room to spare: reading beyond them shows.
struct ExpertFile {
  DType type;
  int hidden, neurons;
  std::vector<uint8_t> gate, up, down;  // (F, D), (F, D), (D, F)
  std::vector<uint8_t> gate_panels, groups;
  std::vector<bool> on;

  ExpertFile(DType type_, int hidden_, int neurons_, double share, Random& random)
      : type(type_),
        hidden(hidden_),
        neurons(neurons_),
        gate(random_rows(type_, neurons_, hidden_, random)),
        up(random_rows(type_, neurons_, hidden_, random)),
        down(random_rows(type_, hidden_, neurons_, random)),
        gate_panels(static_cast<size_t>(neurons_ / 16 * panel_bytes(type_, hidden_)), 0xa5),
        groups(static_cast<size_t>(neurons_ / 32 * neuron_group_bytes(type_, hidden_)), 0xa5),
        on(static_cast<size_t>(neurons_)) {
    for (int n = 0; n < neurons; ++n) set_gate(n, random.bits() < share * 0x1p32, random);
    for (int panel = 0; panel < neurons / 16; ++panel) {
      pack_panel(type, &gate[static_cast<size_t>(panel * 16 * row_bytes(type, hidden))], row_bytes(type, hidden), 16,
                 hidden, &gate_panels[static_cast<size_t>(panel * panel_bytes(type, hidden))]);
    }
    for (int n = 0; n < neurons; ++n) {
      pack_up(type, &up[static_cast<size_t>(n * row_bytes(type, hidden))], n, hidden, groups.data());
    }
    for (int group = 0; group < neurons / 32; ++group) {
      pack_down(type, down.data(), row_bytes(type, neurons), group, hidden, groups.data());
    }
  }

  // Weights above zero or not above, far from the limit. Some rows that are off are exactly zero.
  void set_gate(int n, bool is_on, Random& random) {
    on[static_cast<size_t>(n)] = is_on;
    const bool zero = !is_on && random.below(4) == 0;
    const int64_t bytes = row_bytes(type, hidden);
    uint8_t* row = &gate[static_cast<size_t>(n * bytes)];
    for (int64_t at = 0; at < bytes; at += block_size(type).bytes) {
      put_u16(row + at, zero ? 0 : f32_to_f16(0.01f + 0.005f * random.uniform()));
      for (int64_t i = at + 2; i < at + block_size(type).bytes; ++i) {
        const uint8_t bits = type == DType::Q4_0 ? 0x88 : 0x80;
        const bool set = is_on == (type == DType::Q4_0);
        row[i] = static_cast<uint8_t>(set ? row[i] | bits : row[i] & ~bits);
      }
    }
  }

  SparseExpert packed() const { return {type, gate_panels.data(), groups.data(), hidden, neurons}; }
};

// Panels from the sparse layouts are those that the file's rows give.
void test_panels(const ExpertFile& file) {
  const SparseExpert expert = file.packed();
  const auto check = [&](const char* name, const std::vector<uint8_t>& rows, int row_count, int64_t cols,
                         SparsePanels repack) {
    const size_t bytes = static_cast<size_t>(panel_bytes(file.type, cols));
    std::vector<uint8_t> expected(bytes), got(kPanelsTogether * bytes + 1);
    for (int first = 0; first < row_count / 16; first += kPanelsTogether) {
      const int count = std::min(kPanelsTogether, row_count / 16 - first);
      std::fill(got.begin(), got.end(), 0x5a);
      repack(expert, first, count, got.data());
      for (int p = 0; p < count; ++p) {
        pack_panel(file.type, &rows[static_cast<size_t>((first + p) * 16 * row_bytes(file.type, cols))],
                   row_bytes(file.type, cols), 16, cols, expected.data());
        CHECK(std::memcmp(&got[static_cast<size_t>(p) * bytes], expected.data(), bytes) == 0,
              "%s %s panel %d of D %d F %d", name, name_of(file.type), first + p, file.hidden, file.neurons);
      }
      CHECK(got[static_cast<size_t>(count) * bytes] == 0x5a, "%s %s wrote beyond panel %d", name, name_of(file.type),
            first + count);
    }
  };
  for (const IsaSparse& isa : runnable_sparse()) {
    check(isa.name, file.up, file.neurons, file.hidden, isa.up_panels);
    check(isa.name, file.down, file.hidden, file.neurons, isa.down_panels);
  }
}

constexpr double kUnit = 0x1p-24;  // a rounding of float32, relatively

struct Estimate {
  double value = 0.0, error = 0.0;
};

// A row's product as both layouts sum it: G = cols / 32 products of scales and exact integers, each rounded at most
// three times and added once, and the last 16 lanes folded in four additions.
Estimate product(DType type, const uint8_t* row, const PositiveInput& x) {
  const int64_t cols = static_cast<int64_t>(x.q.size());
  const PlainRow plain = dequantize(type, row, cols);
  Estimate sum;
  for (size_t i = 0; i < x.q.size(); ++i) {
    const double in = static_cast<double>(x.q[i]) * x.scale[i / 32];
    sum.value += plain.weights[i] * in;
    sum.error += std::fabs(plain.weights[i] * in);
  }
  sum.error *= (2.0 * static_cast<double>(cols / 32) + 8.0) * kUnit;
  return sum;
}

// h of every neuron: g u, where errors of both multiply through, and one rounding.
std::vector<Estimate> hidden_values(const ExpertFile& file, const PositiveInput& x) {
  std::vector<Estimate> h(static_cast<size_t>(file.neurons));
  for (size_t n = 0; n < h.size(); ++n) {
    if (!file.on[n]) continue;
    const size_t at = n * static_cast<size_t>(row_bytes(file.type, file.hidden));
    const Estimate g = product(file.type, &file.gate[at], x), u = product(file.type, &file.up[at], x);
    h[n].value = g.value * u.value;
    h[n].error = std::fabs(g.value) * u.error + std::fabs(u.value) * g.error + g.error * u.error +
                 kUnit * std::fabs(h[n].value);
  }
  return h;
}

// A group's h as int8. `unsure`: the error of h * 127 / largest reaches the middle between two integers, so a kernel
// may round either way. `relative`: the error of the scale.
struct QuantizedGroup {
  double scale = 0.0, relative = 0.0;
  int q[32] = {};
  bool unsure[32] = {};
};

QuantizedGroup quantize_group(const Estimate* h) {
  QuantizedGroup group;
  double largest = 0.0, error = 0.0;
  for (int n = 0; n < 32; ++n) {
    largest = std::max(largest, std::fabs(h[n].value));
    error = std::max(error, h[n].error);
  }
  if (largest == 0.0) return group;
  group.scale = largest / 127.0;
  group.relative = error / largest + 2.0 * kUnit;
  for (int n = 0; n < 32; ++n) {
    const double r = h[n].value / group.scale;
    const double r_error = h[n].error / group.scale + std::fabs(r) * (group.relative + 2.0 * kUnit);
    group.q[n] = static_cast<int>(std::nearbyint(r));
    group.unsure[n] = std::fabs(r - std::floor(r) - 0.5) <= r_error && h[n].value != 0.0;
  }
  return group;
}

// What [begin, end) adds to each dimension. Integer sums are exact; each group's share takes three roundings, and sums
// of magnitude at most M = |out| + sum of the shares' magnitudes take one a group.
std::vector<Estimate> expected_output(const ExpertFile& file, const std::vector<Estimate>& h, int begin, int end,
                                      double weight, const std::vector<float>& before) {
  std::vector<QuantizedGroup> groups;
  for (int n = begin; n < end; n += 32) groups.push_back(quantize_group(&h[static_cast<size_t>(n)]));
  std::vector<Estimate> out(before.size());
  for (size_t d = 0; d < out.size(); ++d) {
    const PlainRow row =
        dequantize(file.type, &file.down[d * static_cast<size_t>(row_bytes(file.type, file.neurons))], file.neurons);
    out[d].value = before[d];
    double magnitude = std::fabs(before[d]);
    for (size_t index = 0; index < groups.size(); ++index) {
      const QuantizedGroup& group = groups[index];
      double sum = 0.0, doubt = 0.0;
      for (int n = 0; n < 32; ++n) {
        const double w = row.weights[static_cast<size_t>(begin) + 32 * index + n];
        sum += w * group.q[n];
        if (group.unsure[n]) doubt += std::fabs(w);
      }
      const double share = weight * group.scale * sum;
      out[d].value += share;
      out[d].error += std::fabs(share) * (group.relative + 3.0 * kUnit);
      out[d].error += 1.01 * std::fabs(weight) * group.scale * doubt;
      magnitude += std::fabs(share) + out[d].error;
    }
    out[d].error += magnitude * static_cast<double>(groups.size()) * kUnit + 1e-36;
  }
  return out;
}

// Scratch with a guard behind.
struct GuardedScratch {
  std::vector<float> storage;
  GuardedScratch(int hidden, int neurons)
      : storage(static_cast<size_t>(sparse_ffn_scratch(hidden, neurons)) + 1, -9.0f) {}
  float* data() { return storage.data(); }
  bool intact() const { return storage.back() == -9.0f; }
};

void check_range(const ExpertFile& file, const PositiveInput& x, const std::vector<Estimate>& h, int begin, int end,
                 float weight, Random& random) {
  std::vector<float> before(static_cast<size_t>(file.hidden));
  for (float& value : before) value = random.uniform();
  const std::vector<Estimate> expected = expected_output(file, h, begin, end, weight, before);
  const int active = static_cast<int>(std::count(file.on.begin() + begin, file.on.begin() + end, true));
  std::vector<float> first;
  for (const IsaSparse& isa : runnable_sparse()) {
    std::vector<float> out = before;
    GuardedScratch scratch(file.hidden, file.neurons);
    const int got = isa.function(file.packed(), begin, end, x.inputs(), weight, out.data(), scratch.data(), nullptr);
    CHECK(got == active, "%s %s D %d F %d: %d active, not %d", isa.name, name_of(file.type), file.hidden, file.neurons,
          got, active);
    CHECK(scratch.intact(), "%s wrote beyond its scratch", isa.name);
    for (size_t d = 0; d < out.size(); ++d) {
      CHECK(std::fabs(out[d] - expected[d].value) <= expected[d].error,
            "%s %s D %d F %d neurons %d..%d dimension %d: %.9g, not %.9g +- %.3g", isa.name, name_of(file.type),
            file.hidden, file.neurons, begin, end, int(d), out[d], expected[d].value, expected[d].error);
    }
    if (isa.function == reference::sparse_ffn) continue;  // it sums in double
    if (first.empty()) first = out;
    CHECK(out == first, "%s %s D %d F %d: instruction sets differ in bits", isa.name, name_of(file.type), file.hidden,
          file.neurons);
  }
}

// Ranges one after another add up to the whole, to the bit: groups are added in the same order.
void check_parts(const ExpertFile& file, const PositiveInput& x, float weight) {
  for (const IsaSparse& isa : runnable_sparse()) {
    GuardedScratch scratch(file.hidden, file.neurons);
    std::vector<float> whole(static_cast<size_t>(file.hidden)), parts(whole.size());
    const int all = isa.function(file.packed(), 0, file.neurons, x.inputs(), weight, whole.data(), scratch.data(),
                                 file.groups.data());
    const int middle = file.neurons / 64 * 32;
    int sum = isa.function(file.packed(), 0, middle, x.inputs(), weight, parts.data(), scratch.data(), nullptr);
    sum += isa.function(file.packed(), middle, file.neurons, x.inputs(), weight, parts.data(), scratch.data(), nullptr);
    CHECK(sum == all, "%s: %d active in parts, %d in all", isa.name, sum, all);
    CHECK(parts == whole, "%s %s D %d F %d: parts differ from the whole", isa.name, name_of(file.type), file.hidden,
          file.neurons);
  }
}

// Every byte and every x at its extreme: sums of bytes must not saturate.
void test_saturation() {
  constexpr int kHidden = 512, kNeurons = 32;
  for (DType type : {DType::Q4_0, DType::Q8_0}) {
    for (int byte : {0x00, 0x7f, 0x80, 0xff}) {
      Random random{77};
      ExpertFile file(type, kHidden, kNeurons, 1.0, random);
      PositiveInput x(kHidden, random);
      std::fill(x.q.begin(), x.q.end(), int8_t{127});
      std::fill(x.sum.begin(), x.sum.end(), 16 * 127);
      const auto fill = [&](std::vector<uint8_t>& rows) {
        std::fill(rows.begin(), rows.end(), static_cast<uint8_t>(byte));
        for (size_t at = 0; at < rows.size(); at += static_cast<size_t>(block_size(type).bytes)) {
          put_u16(&rows[at], f32_to_f16(0.5f));
        }
      };
      fill(file.up);
      fill(file.down);
      for (int n = 0; n < kNeurons; ++n) {
        pack_up(type, &file.up[static_cast<size_t>(n * row_bytes(type, kHidden))], n, kHidden, file.groups.data());
      }
      pack_down(type, file.down.data(), row_bytes(type, kNeurons), 0, kHidden, file.groups.data());
      check_range(file, x, hidden_values(file, x), 0, kNeurons, 1.0f, random);
    }
  }
}

void test_shapes() {
  Random random{20240611};
  for (DType type : {DType::Q4_0, DType::Q8_0}) {
    for (int hidden : {64, 192, 768, 1536}) {
      for (int neurons : {32, 96, 768}) {
        if (hidden == 768 && neurons == 768) continue;  // time
        for (double share : {0.0, 0.05, 0.5, 1.0}) {
          const ExpertFile file(type, hidden, neurons, share, random);
          const PositiveInput x(hidden, random);
          const std::vector<Estimate> h = hidden_values(file, x);
          const float weight = 0.3f + 0.2f * random.uniform();
          if (share == 0.5) test_panels(file);
          check_range(file, x, h, 0, neurons, weight, random);
          const int begin = 32 * random.below(neurons / 32);
          check_range(file, x, h, begin, begin + 32 * (1 + random.below((neurons - begin) / 32)), weight, random);
          check_parts(file, x, weight);
        }
      }
    }
  }
}

}  // namespace
}  // namespace dotori::test

int main() {
  dotori::test::test_shapes();
  dotori::test::test_saturation();
  return dotori::test::report("sparse_ffn");
}
