#include "model/weights.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string>

#include "model/activations.h"
#include "platform/error.h"
#include "platform/half.h"

namespace dotori {
namespace {

// A piece of the file and where it goes. Jobs are small, so that threads share them evenly and windows stay small.
struct Job {
  enum Kind { Panels, Floats, ExpertUp, ExpertDown } kind;
  const TensorInfo* tensor;
  int64_t from;       // byte of the tensor's data
  int64_t row_bytes;  // of the file
  int rows, cols;
  uint8_t* to;
};

constexpr int64_t kWindow = 1 << 20;  // bytes of the file that a job takes, unless one panel is larger

struct Planner {
  const GgufFile& file;
  const ModelConfig& config;
  const Kernels& kernels;
  Arena arena;
  std::vector<Job> jobs;
};

// check_tensors has found it there.
const TensorInfo& tensor(const Planner& plan, const std::string& name) { return *find_tensor(plan.file, name); }

// `rows` rows from row `first` on, as panels.
Matrix matrix_rows(Planner& plan, const TensorInfo& info, int64_t first, int rows, int cols) {
  Matrix w;
  w.type = info.type;
  w.rows = rows;
  w.cols = cols;
  w.panels = panels_of(rows);
  w.bytes_per_panel = panel_bytes(info.type, cols);
  w.matmul = matmul_of(plan.kernels, info.type);
  uint8_t* data = plan.arena.take<uint8_t>(w.bytes());
  w.data = data;
  if (!data) return w;
  const int64_t stride = row_bytes(info.type, cols);
  const int step = static_cast<int>(std::max<int64_t>(1, kWindow / (stride * kPanelRows)));
  for (int panel = 0; panel < w.panels; panel += step) {
    const int row = panel * kPanelRows, count = std::min(step * kPanelRows, rows - row);
    uint8_t* to = data + panel * w.bytes_per_panel;
    plan.jobs.push_back({Job::Panels, &info, (first + row) * stride, stride, count, cols, to});
  }
  return w;
}

Matrix matrix(Planner& plan, const std::string& name) {
  const TensorInfo& info = tensor(plan, name);
  return matrix_rows(plan, info, 0, static_cast<int>(info.shape[1]), static_cast<int>(info.shape[0]));
}

const float* floats(Planner& plan, const std::string& name) {
  const TensorInfo& info = tensor(plan, name);
  const int count = static_cast<int>(info.shape[0]);
  float* data = plan.arena.take<float>(count);
  const int64_t bytes = row_bytes(info.type, count);
  if (data) plan.jobs.push_back({Job::Floats, &info, 0, bytes, 1, count, reinterpret_cast<uint8_t*>(data)});
  return data;
}

bool can_be_sparse(DType type, const ModelConfig& c) {
  return (type == DType::Q4_0 || type == DType::Q8_0) && c.hidden_size % 64 == 0 &&
         c.expert_intermediate_size % 32 == 0;
}

Expert plan_expert(Planner& plan, const std::string& block, int index) {
  const ModelConfig& c = plan.config;
  const int hidden = c.hidden_size, neurons = c.expert_intermediate_size;
  const TensorInfo& gate = tensor(plan, block + "ffn_gate_exps.weight");
  const TensorInfo& up = tensor(plan, block + "ffn_up_exps.weight");
  const TensorInfo& down = tensor(plan, block + "ffn_down_exps.weight");
  Expert e{};
  e.gate = matrix_rows(plan, gate, static_cast<int64_t>(index) * neurons, neurons, hidden);
  e.is_sparse = gate.type == up.type && up.type == down.type && can_be_sparse(gate.type, c);
  if (!e.is_sparse) {
    e.up = matrix_rows(plan, up, static_cast<int64_t>(index) * neurons, neurons, hidden);
    e.down = matrix_rows(plan, down, static_cast<int64_t>(index) * hidden, hidden, neurons);
    return e;
  }
  uint8_t* groups = plan.arena.take<uint8_t>(neuron_group_bytes(down.type, hidden) * (neurons / 32));
  e.sparse = {gate.type, e.gate.data, groups, hidden, neurons};
  if (groups) {
    const int64_t up_stride = row_bytes(up.type, hidden), down_stride = row_bytes(down.type, neurons);
    plan.jobs.push_back({Job::ExpertUp, &up, index * neurons * up_stride, up_stride, neurons, hidden, groups});
    plan.jobs.push_back({Job::ExpertDown, &down, index * hidden * down_stride, down_stride, hidden, neurons, groups});
  }
  return e;
}

Layer plan_layer(Planner& plan, const std::string& block) {
  const ModelConfig& c = plan.config;
  Layer l{};
  l.attn_norm = floats(plan, block + "attn_norm.weight");
  l.ffn_norm = floats(plan, block + "ffn_norm.weight");
  if (c.qk_norm) {
    l.q_norm = floats(plan, block + "attn_q_norm.weight");
    l.k_norm = floats(plan, block + "attn_k_norm.weight");
  }
  if (c.attention_bias) {
    l.q_bias = floats(plan, block + "attn_q.bias");
    l.k_bias = floats(plan, block + "attn_k.bias");
    l.v_bias = floats(plan, block + "attn_v.bias");
  }
  l.q = matrix(plan, block + "attn_q.weight");
  l.k = matrix(plan, block + "attn_k.weight");
  l.v = matrix(plan, block + "attn_v.weight");
  l.o = matrix(plan, block + "attn_output.weight");
  l.takes_quantized_attention_input = l.q.is_quantized() || l.k.is_quantized() || l.v.is_quantized();
  if (c.num_experts) {
    l.router = matrix(plan, block + "ffn_gate_inp.weight");
    if (l.router.is_quantized()) {
      throw Error(block + "ffn_gate_inp.weight: " + name_of(l.router.type) +
                  "; a router is F32, F16 or BF16; convert the model anew");
    }
    l.takes_quantized_ffn_input = true;
    return l;
  }
  l.gate = matrix(plan, block + "ffn_gate.weight");
  l.up = matrix(plan, block + "ffn_up.weight");
  l.down = matrix(plan, block + "ffn_down.weight");
  l.takes_quantized_ffn_input = l.gate.is_quantized() || l.up.is_quantized();
  return l;
}

Weights plan_weights(Planner& plan) {
  const ModelConfig& c = plan.config;
  Weights w;
  w.num_experts = c.num_experts;
  w.embedding = matrix(plan, "token_embd.weight");
  w.head = c.tied ? w.embedding : matrix(plan, "output.weight");
  w.output_norm = floats(plan, "output_norm.weight");
  if (c.has_rope_freqs) w.rope_freqs = floats(plan, "rope_freqs.weight");
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    w.layers.push_back(plan_layer(plan, block));
    for (int index = 0; index < c.num_experts; ++index) w.experts.push_back(plan_expert(plan, block, index));
  }
  return w;
}

void unpack_floats(DType type, const uint8_t* data, int count, float* out) {
  for (int index = 0; index < count; ++index) {
    if (type == DType::F32) {
      std::memcpy(out + index, data + 4 * index, 4);
      continue;
    }
    uint16_t half;
    std::memcpy(&half, data + 2 * index, 2);
    out[index] = type == DType::F16 ? f16_to_f32(half) : bf16_to_f32(half);
  }
}

void carry_out(const Job& job, const uint8_t* bytes) {
  const DType type = job.tensor->type;
  switch (job.kind) {
    case Job::Panels: {
      const int64_t size = panel_bytes(type, job.cols);
      for (int row = 0, panel = 0; row < job.rows; row += kPanelRows, ++panel) {
        pack_panel(type, bytes + row * job.row_bytes, job.row_bytes, std::min(kPanelRows, job.rows - row), job.cols,
                   job.to + panel * size);
      }
      return;
    }
    case Job::Floats: unpack_floats(type, bytes, job.cols, reinterpret_cast<float*>(job.to)); return;
    case Job::ExpertUp:
      for (int row = 0; row < job.rows; ++row) {
        pack_up(type, bytes + row * job.row_bytes, row, job.cols, job.to);
      }
      return;
    case Job::ExpertDown:
      for (int block = 0; block < job.cols / 32; ++block) {
        pack_down(type, bytes, job.row_bytes, block, job.rows, job.to);
      }
      return;
  }
}

void load_all(const Planner& plan, ThreadPool& pool) {
  int64_t largest = 0;
  for (const Job& job : plan.jobs) largest = std::max(largest, job.rows * job.row_bytes);
  const Buffer windows(aligned(largest) * pool.size);
  std::atomic<size_t> next{0};
  std::mutex guard;
  std::string trouble;
  auto load = [&](int thread) {
    uint8_t* window = windows.data + thread * aligned(largest);
    for (size_t index = next++; index < plan.jobs.size(); index = next++) {
      const Job& job = plan.jobs[index];
      try {
        read_tensor(plan.file, *job.tensor, job.from, job.rows * job.row_bytes, window);
        carry_out(job, window);
      } catch (const std::exception& error) {
        const std::lock_guard lock(guard);
        if (trouble.empty()) trouble = error.what();
        next = plan.jobs.size();
      }
    }
  };
  run(pool, load);
  if (!trouble.empty()) throw Error(trouble);
}

}  // namespace

Weights load_weights(const GgufFile& file, const ModelConfig& config, const Kernels& kernels, ThreadPool& pool,
                     int64_t memory_bytes) {
  Planner plan{file, config, kernels, {}, {}};
  plan_weights(plan);
  const int64_t needed = plan.arena.used;
  if (memory_bytes > 0 && needed > memory_bytes) {
    throw Error("memory: " + std::to_string(memory_bytes / 1000000) + " MB allowed, the weights take " +
                std::to_string(needed / 1000000) + " MB; allow more or use a smaller model");
  }
  Buffer storage(needed);
  plan.arena = {storage.data, 0};
  Weights weights = plan_weights(plan);
  weights.storage = std::move(storage);
  load_all(plan, pool);
  check_unchanged(file);
  for (Expert& one : weights.experts) one.is_resident = true;
  return weights;
}

}  // namespace dotori
