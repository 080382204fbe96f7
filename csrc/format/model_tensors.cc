#include "format/model_config.h"
#include "format/utf8.h"

namespace dotori {
namespace {

struct Check {
  const GgufFile& file;
  std::vector<bool> seen;  // by place in file.tensors
};

std::string shape_text(const int64_t* shape, int dims) {
  std::string text;
  for (int d = dims - 1; d >= 0; --d) {
    text += text.empty() ? "(" : ", ";
    text += std::to_string(shape[d]);
  }
  return text + (dims == 1 ? ",)" : ")");
}

// `rows` and `count` are 0 for a vector and for a single matrix.
void expect(Check& check, const std::string& name, int64_t cols, int64_t rows = 0, int64_t count = 0) {
  const TensorInfo* tensor = find_tensor(check.file, name);
  if (!tensor) {
    throw damaged(check.file.path, "tensor", quoted(name), "the architecture needs it and it is missing");
  }
  const int64_t shape[] = {cols, rows, count};
  const int dims = count ? 3 : rows ? 2 : 1;
  bool is_right = tensor->dims == dims;
  for (int d = 0; d < dims; ++d) is_right = is_right && tensor->shape[d] == shape[d];
  if (!is_right) {
    throw damaged(check.file.path, "shape of " + name, shape_text(tensor->shape, tensor->dims),
                  shape_text(shape, dims) + " by the metadata");
  }
  if (dims == 1 && tensor->type != DType::F32) {
    throw damaged(check.file.path, "type of " + name, name_of(tensor->type), "vectors are F32");
  }
  check.seen[static_cast<size_t>(tensor - check.file.tensors.data())] = true;
}

void expect_layer(Check& check, const ModelConfig& c, const std::string& prefix) {
  const int64_t hidden = c.hidden_size, queries = static_cast<int64_t>(c.num_attention_heads) * c.head_dim;
  const int64_t keys = static_cast<int64_t>(c.num_key_value_heads) * c.head_dim;
  expect(check, prefix + "attn_norm.weight", hidden);
  expect(check, prefix + "ffn_norm.weight", hidden);
  expect(check, prefix + "attn_q.weight", hidden, queries);
  expect(check, prefix + "attn_k.weight", hidden, keys);
  expect(check, prefix + "attn_v.weight", hidden, keys);
  expect(check, prefix + "attn_output.weight", queries, hidden);
  if (c.qk_norm) {
    expect(check, prefix + "attn_q_norm.weight", c.head_dim);
    expect(check, prefix + "attn_k_norm.weight", c.head_dim);
  }
  if (c.attention_bias) {
    expect(check, prefix + "attn_q.bias", queries);
    expect(check, prefix + "attn_k.bias", keys);
    expect(check, prefix + "attn_v.bias", keys);
  }
  if (c.num_experts) {
    const int64_t neurons = c.expert_intermediate_size;
    expect(check, prefix + "ffn_gate_inp.weight", hidden, c.num_experts);
    expect(check, prefix + "ffn_gate_exps.weight", hidden, neurons, c.num_experts);
    expect(check, prefix + "ffn_up_exps.weight", hidden, neurons, c.num_experts);
    expect(check, prefix + "ffn_down_exps.weight", neurons, hidden, c.num_experts);
  } else {
    expect(check, prefix + "ffn_gate.weight", hidden, c.intermediate_size);
    expect(check, prefix + "ffn_up.weight", hidden, c.intermediate_size);
    expect(check, prefix + "ffn_down.weight", c.intermediate_size, hidden);
  }
}

}  // namespace

void check_tensors(const GgufFile& file, const ModelConfig& config) {
  Check check{file, std::vector<bool>(file.tensors.size())};
  expect(check, "token_embd.weight", config.hidden_size, config.vocab_size);
  expect(check, "output_norm.weight", config.hidden_size);
  if (!config.tied) expect(check, "output.weight", config.hidden_size, config.vocab_size);
  if (config.has_rope_freqs) expect(check, "rope_freqs.weight", config.head_dim / 2);
  for (int layer = 0; layer < config.num_hidden_layers; ++layer) {
    expect_layer(check, config, "blk." + std::to_string(layer) + ".");
  }
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    // Leaving out a tensor could change what the model computes.
    if (!check.seen[i]) {
      throw damaged(file.path, "tensor", quoted(file.tensors[i].name),
                    std::string("the architecture ") + name_of(config.arch) + " has none of this name");
    }
  }
}

}  // namespace dotori
