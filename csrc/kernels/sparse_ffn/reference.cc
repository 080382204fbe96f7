#include "kernels/matmul/isa_table.h"
#include "kernels/quantize/isa_table.h"
#include "kernels/sparse_ffn/isa_table.h"
#include "kernels/sparse_ffn/layouts.h"
#include "platform/half.h"

namespace dotori::reference {
namespace {

double f16_at(const uint8_t* at) { return f16_to_f32(static_cast<uint16_t>(at[0] | at[1] << 8)); }

double up_weight(const SparseExpert& e, int64_t neuron, int64_t column) {
  const uint8_t* row = e.groups + split_row_at(e.type, e.hidden_size, neuron);
  const int64_t lanes = split_lanes(e.hidden_size), block = column / 32, lane = block / 16 * 16, l = column % 32;
  const double scale = f16_at(row + split_scales_at(e.type, e.hidden_size) + 2 * block);
  const uint8_t* vectors = row + lane * lane_bytes(e.type) + block % 16 * 4;
  const int64_t stride = split_stride(lanes, lane);
  if (e.type == DType::Q8_0) return scale * (vectors[l / 4 * stride + l % 4] - 128);
  const int byte = vectors[l % 16 / 4 * stride + l % 4];
  return scale * ((l < 16 ? byte % 16 : byte / 16) - 8);
}

double down_weight(const SparseExpert& e, int64_t neuron, int64_t dimension) {
  const uint8_t* group = e.groups + neuron / kGroupNeurons * group_bytes(e.type, e.hidden_size);
  const double scale = f16_at(group + group_scales_at(e.type, e.hidden_size) + 2 * dimension);
  const uint8_t* bytes = group + neuron % kGroupNeurons * neuron_stride(e.type, e.hidden_size);
  const int64_t place = dimension_byte(dimension % 64);
  if (e.type == DType::Q8_0) return scale * (bytes[dimension / 64 * 64 + place] - 128);
  const int byte = bytes[dimension / 128 * 64 + place];
  return scale * ((dimension % 128 < 64 ? byte % 16 : byte / 16) - 8);
}

}  // namespace

int sparse_ffn(const SparseExpert& expert, int begin, int end, const Inputs& x, float weight, float* out,
               float* scratch, const uint8_t*) {
  const int64_t count = end - begin;
  const uint8_t* panels = expert.gate + begin / kPanelRows * panel_bytes(expert.type, expert.hidden_size);
  float* h = scratch;
  const auto gate = expert.type == DType::Q4_0 ? matmul_q4_0 : matmul_q8_0;
  gate(panels, static_cast<int>(count / kPanelRows), x, h, count);
  int active = 0;
  for (int64_t n = 0; n < count; ++n) {
    if (!(h[n] > 0.0f)) {
      h[n] = 0.0f;
      continue;
    }
    ++active;
    double up = 0.0;
    for (int64_t column = 0; column < expert.hidden_size; ++column) {
      up += up_weight(expert, begin + n, column) * x.q[column] * x.scale[column / 32];
    }
    h[n] *= static_cast<float>(up);
  }
  for (int64_t group = 0; group < count / kGroupNeurons; ++group) {
    int8_t q[kGroupNeurons];
    float scale;
    int32_t sums[2];
    quantize(h + group * kGroupNeurons, kGroupNeurons, q, &scale, sums);
    for (int64_t dimension = 0; dimension < expert.hidden_size; ++dimension) {
      double total = 0.0;
      for (int64_t n = 0; n < kGroupNeurons; ++n) {
        total += down_weight(expert, begin + group * kGroupNeurons + n, dimension) * q[n];
      }
      out[dimension] += static_cast<float>(total * scale * weight);
    }
  }
  return active;
}

void up_panels(const SparseExpert& expert, int first, int count, uint8_t* out) {
  const int64_t bytes = panel_bytes(expert.type, expert.hidden_size);
  for (int p = 0; p < count; ++p) up_panel(expert, first + p, 0, out + p * bytes);
}

void down_panels(const SparseExpert& expert, int first, int count, uint8_t* out) {
  const int64_t bytes = panel_bytes(expert.type, expert.neurons);
  for (int p = 0; p < count; ++p) down_panel(expert, first + p, out + p * bytes);
}

}  // namespace dotori::reference
