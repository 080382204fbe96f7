#include "format/model_config.h"

#include <cmath>

#include "format/test_file.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

// The message of the Error that reading the configuration and checking the tensors ends in.
std::string error_of(const TestFile& file) {
  const std::string bytes = finish(file);
  try {
    const GgufFile parsed = parse(bytes);
    check_tensors(parsed, read_config(parsed));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

void expect_error(const TestFile& file, const std::string& part) {
  const std::string message = error_of(file);
  CHECK(message.find(part) != std::string::npos, "wanted '%s', got '%s'", part.c_str(), message.c_str());
}

ModelConfig config_of(const TestFile& file) {
  const std::string bytes = finish(file);
  const GgufFile parsed = parse(bytes);
  const ModelConfig config = read_config(parsed);
  check_tensors(parsed, config);
  return config;
}

// A model with one key given another value.
template <typename T>
TestFile with(const std::string& key, T value, const TestModel& model = {}) {
  TestFile file = small_model(model, key);
  add(file, key, value);
  return file;
}

TestModel model_of(const char* arch) {
  TestModel model;
  model.arch = arch;
  model.has_bias = model.arch == "qwen2";
  return model;
}

TestModel mixture() {
  TestModel model = model_of("smallthinker");
  model.experts = 4;
  return model;
}

void test_llama() {
  const ModelConfig c = config_of(small_model());
  CHECK(c.arch == Architecture::llama && c.vocab_size == 262 && c.hidden_size == 32, "sizes");
  CHECK(c.intermediate_size == 64 && c.num_hidden_layers == 2 && c.context_length == 128, "sizes");
  CHECK(c.num_attention_heads == 2 && c.num_key_value_heads == 1 && c.head_dim == 16, "heads");
  CHECK(c.rope_theta == 10000.0f && c.rope_scale == 1.0f && c.rope_neighbours && !c.has_rope_freqs, "rope");
  CHECK(c.rms_norm_eps == 1e-5f && std::fabs(c.softmax_scale - 0.25f) < 1e-7f, "floats");
  CHECK(c.tied && !c.attention_bias && !c.qk_norm && c.num_experts == 0 && c.sliding_window == 0, "flags");
  CHECK(c.bos == -1 && c.eos == 260, "ids");
}

void test_others() {
  TestModel model = model_of("qwen2");
  model.has_head = true;
  const ModelConfig qwen2 = config_of(small_model(model));
  CHECK(qwen2.attention_bias && !qwen2.tied && !qwen2.rope_neighbours, "qwen2");
  TestFile file = small_model(model_of("qwen3"));
  expect_error(file, "tensor 'blk.0.attn_q_norm.weight'; the architecture needs it and it is missing");
  for (const char* name : {"blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight", "blk.1.attn_q_norm.weight",
                           "blk.1.attn_k_norm.weight"}) {
    add_tensor(file, name, {16});
  }
  CHECK(config_of(file).qk_norm, "qwen3");
  expect_error(small_model(model_of("granite")), "granite.attention.scale missing; a positive number is needed");
  file = small_model(model_of("minicpm"));
  expect_error(file, "minicpm.embedding_scale missing");
  add(file, "minicpm.embedding_scale", 12.0f);
  add(file, "minicpm.residual_scale", 0.5f);
  expect_error(file, "minicpm.logit_scale missing");
  add(file, "minicpm.logit_scale", 4.0f);
  const ModelConfig minicpm = config_of(file);
  CHECK(minicpm.embedding_multiplier == 12.0f && minicpm.residual_multiplier == 0.5f, "minicpm");
  CHECK(minicpm.logits_scaling == 4.0f && minicpm.rope_neighbours, "minicpm");
}

void test_experts() {
  TestFile file = small_model(mixture());
  ModelConfig c = config_of(file);
  CHECK(c.num_experts == 4 && c.num_experts_used == 2 && c.expert_intermediate_size == 64, "experts");
  CHECK(c.sigmoid_router && c.intermediate_size == 0 && c.sliding_window == 0 && c.no_rope_period == 0, "experts");
  add(file, "smallthinker.attention.sliding_window", uint32_t{99});
  c = config_of(file);
  CHECK(c.sliding_window == 4096 && c.no_rope_period == 4, "the window");
  CHECK(config_of(with("smallthinker.attention.sliding_window", uint32_t{0}, mixture())).sliding_window == 0, "none");
  const char* gating = "smallthinker.expert_gating_func";
  CHECK(!config_of(with(gating, uint32_t{1}, mixture())).sigmoid_router, "softmax");
  expect_error(with(gating, uint32_t{3}, mixture()), "1 (softmax) or 2 (sigmoid) is needed");
  expect_error(small_model(mixture(), gating), "expert_gating_func missing");
  expect_error(with("smallthinker.expert_used_count", uint32_t{5}, mixture()), "from 1 to 4 is needed");
  expect_error(with("smallthinker.expert_count", uint32_t{4097}, mixture()), "from 1 to 4096 is needed");
  expect_error(with("smallthinker.expert_count", uint32_t{5}, mixture()), "(5, 32) by the metadata");
  expect_error(with("llama.expert_count", uint32_t{8}), "experts are read in smallthinker alone");
}

void test_size_errors() {
  expect_error(small_model(model_of("gpt2")), "general.architecture 'gpt2'; one of granite, llama");
  const char* sizes[] = {"llama.embedding_length", "llama.block_count", "llama.feed_forward_length",
                         "llama.attention.head_count", "llama.attention.head_count_kv"};
  for (const char* key : sizes) {
    expect_error(with(key, uint32_t{0}), std::string(key) + " 0; a whole number from 1 to 2147483647 is needed");
    expect_error(with(key, -1), "a whole number from 1");
    expect_error(with(key, 2.0f), "a whole number from 1");
    expect_error(with(key, uint64_t{1} << 31), "a whole number from 1");
    expect_error(with(key, ~uint64_t{0}), "a whole number from 1");
    expect_error(with(key, "2"), "'2'; a whole number from 1");
    expect_error(with(key, std::vector<int32_t>{2, 2}), "an array of 2; a whole number");
    CHECK(!error_of(with(key, uint32_t{0x7fffffff})).empty(), "%s: the largest number", key);
  }
  expect_error(small_model({}, "llama.embedding_length"), "llama.embedding_length missing");
  CHECK(config_of(small_model({}, "llama.context_length")).context_length == 2048, "no context length");
  expect_error(with("llama.block_count", uint32_t{1}), "has none of this name");
  expect_error(with("llama.block_count", uint32_t{3}), "tensor 'blk.2.attn_norm.weight'");
}

void test_head_errors() {
  expect_error(with("llama.attention.head_count_kv", uint32_t{4}), "a multiple of head_count_kv (4)");
  expect_error(with("llama.attention.key_length", uint32_t{7}), "even");
  expect_error(with("llama.attention.value_length", uint32_t{32}), "it must equal the key length (16)");
  expect_error(with("llama.rope.dimension_count", uint32_t{8}), "it must equal the key length (16)");
  expect_error(with("llama.attention.key_length", uint32_t{0x40000000}), "too many for their length");
  expect_error(small_model({}, "llama.attention.head_count_kv"), "shape of blk.0.attn_k.weight (16, 32); (32, 32)");
  expect_error(with("llama.attention.key_length", uint32_t{32}), "shape of blk.0.attn_q.weight (32, 32); (64, 32)");
}

void test_other_errors() {
  const float bad[] = {0.0f, -1.0f, NAN, INFINITY};
  for (const float value : bad) {
    for (const char* key : {"llama.rope.freq_base", "llama.attention.layer_norm_rms_epsilon", "llama.logit_scale"}) {
      expect_error(with(key, value), "a positive number is needed");
    }
  }
  TestFile file = with("llama.rope.scaling.type", "linear");
  add(file, "llama.rope.scaling.factor", 4.0f);
  CHECK(config_of(file).rope_scale == 4.0f, "linear");
  expect_error(with("llama.rope.scaling.type", "yarn"), "'yarn'; none and linear are supported");
  expect_error(with("llama.rope.scaling.factor", 4.0f), "llama.rope.scaling.type missing; none and linear");
  file = with("llama.rope.scaling.type", "none");
  add(file, "llama.rope.scaling.factor", 4.0f);
  CHECK(config_of(file).rope_scale == 1.0f, "none");
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.bos_token_id"}) {
    expect_error(with(key, uint32_t{262}), "below the vocabulary's size (262)");
    expect_error(with(key, -1), "below the vocabulary's size");
  }
  expect_error(small_model({}, "tokenizer.ggml.tokens"), "tokenizer.ggml.tokens missing");
  expect_error(with("tokenizer.ggml.tokens", uint32_t{1}), "an array of strings is needed");
  file = small_model();
  add_tensor(file, "blk.0.attn_q.bias", {32});
  expect_error(file, "tensor 'blk.0.attn_q.bias'; the architecture llama has none of this name");
  file = small_model();
  add_tensor(file, "rope_freqs.weight", {8});
  CHECK(config_of(file).has_rope_freqs, "rope_freqs");
  file = small_model();
  add_tensor(file, "rope_freqs.weight", {16});
  expect_error(file, "shape of rope_freqs.weight (16,); (8,) by the metadata");
  file = small_model();
  add_tensor(file, "rope_freqs.weight", {8}, DType::F16);
  expect_error(file, "vectors are F32");
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori::test;
  test_llama();
  test_others();
  test_experts();
  test_size_errors();
  test_head_errors();
  test_other_errors();
  return report("model_config");
}
