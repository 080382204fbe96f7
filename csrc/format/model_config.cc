#include "format/model_config.h"

#include <cmath>
#include <limits>

#include "format/utf8.h"

namespace dotori {
namespace {

constexpr int kLargestOddHead = 256;  // heads beyond are multiples of 16
constexpr int kMostExperts = 4096;
constexpr int kWindow = 4096, kNoRopePeriod = 4;
constexpr int kDefaultContext = 2048;
constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();
constexpr Architecture kArchitectures[] = {Architecture::llama,   Architecture::qwen2,   Architecture::qwen3,
                                           Architecture::granite, Architecture::minicpm, Architecture::smallthinker};

// The file's keys under `<architecture>.`.
struct Keys {
  const GgufFile& file;
  std::string prefix;
};

const Value* find(const Keys& keys, const char* key) { return find_value(keys.file, keys.prefix + key); }

Error wrong(const Keys& keys, const char* key, const std::string& got, const std::string& rule) {
  return damaged(keys.file.path, keys.prefix + key, got, rule);
}

// A whole number from 1 to `most`.
int size_at(const Keys& keys, const char* key, int64_t most = kLargest) {
  const Value* value = find(keys, key);
  const int64_t number = value && !value->is_array ? as_integer(*value).value_or(0) : 0;
  if (number < 1 || number > most) {
    throw wrong(keys, key, text_of(value), "a whole number from 1 to " + std::to_string(most) + " is needed");
  }
  return static_cast<int>(number);
}

int size_or(const Keys& keys, const char* key, int otherwise) {
  return find(keys, key) ? size_at(keys, key) : otherwise;
}

float positive_at(const Keys& keys, const char* key) {
  const Value* value = find(keys, key);
  const double number = value && !value->is_array ? as_number(*value).value_or(0) : 0;
  const float rounded = static_cast<float>(number);
  if (!(rounded > 0) || !std::isfinite(rounded)) {
    throw wrong(keys, key, text_of(value), "a positive number is needed");
  }
  return rounded;
}

float positive_or(const Keys& keys, const char* key, float otherwise) {
  return find(keys, key) ? positive_at(keys, key) : otherwise;
}

Architecture architecture_of(const GgufFile& file) {
  const Value* value = find_value(file, "general.architecture");
  if (value && is_string(*value)) {
    for (const Architecture arch : kArchitectures) {
      if (string_at(*value) == name_of(arch)) return arch;
    }
  }
  throw damaged(file.path, "general.architecture", text_of(value),
                "one of granite, llama, minicpm, qwen2, qwen3, smallthinker is supported");
}

int token_at(const GgufFile& file, const char* key, int vocab_size) {
  const Value* value = find_value(file, key);
  if (!value) return -1;
  const int64_t id = value->is_array ? -1 : as_integer(*value).value_or(-1);
  if (id < 0 || id >= vocab_size) {
    throw damaged(file.path, key, text_of(value),
                  "it must lie below the vocabulary's size (" + std::to_string(vocab_size) + ")");
  }
  return static_cast<int>(id);
}

void read_vocabulary(const GgufFile& file, ModelConfig& c) {
  const Value* tokens = find_value(file, "tokenizer.ggml.tokens");
  if (!tokens || !is_string_array(*tokens) || tokens->count < 1 || tokens->count > kLargest) {
    throw damaged(file.path, "tokenizer.ggml.tokens", text_of(tokens), "an array of strings is needed");
  }
  c.vocab_size = static_cast<int>(tokens->count);
  c.bos = token_at(file, "tokenizer.ggml.bos_token_id", c.vocab_size);
  c.eos = token_at(file, "tokenizer.ggml.eos_token_id", c.vocab_size);
}

void read_heads(const Keys& keys, ModelConfig& c) {
  c.num_attention_heads = size_at(keys, "attention.head_count");
  c.num_key_value_heads = size_or(keys, "attention.head_count_kv", c.num_attention_heads);
  if (c.num_attention_heads % c.num_key_value_heads) {
    throw wrong(keys, "attention.head_count", std::to_string(c.num_attention_heads),
                "it must be a multiple of head_count_kv (" + std::to_string(c.num_key_value_heads) + ")");
  }
  c.head_dim = size_or(keys, "attention.key_length", c.hidden_size / c.num_attention_heads);
  const std::string of_heads = std::to_string(c.head_dim);
  if (c.head_dim < 2 || c.head_dim % (c.head_dim > kLargestOddHead ? 16 : 2)) {
    throw wrong(keys, "attention.key_length", of_heads, "RoPE turns pairs, so it is even; a multiple of 16 beyond 256");
  }
  if (static_cast<int64_t>(c.head_dim) * c.num_attention_heads > kLargest) {
    throw wrong(keys, "attention.head_count", std::to_string(c.num_attention_heads), "too many for their length");
  }
  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    if (size_or(keys, key, c.head_dim) != c.head_dim) {
      throw wrong(keys, key, text_of(find(keys, key)), "it must equal the key length (" + of_heads + ")");
    }
  }
}

void read_rope(const Keys& keys, ModelConfig& c) {
  c.rope_theta = positive_or(keys, "rope.freq_base", 10000.0f);
  c.has_rope_freqs = find_tensor(keys.file, "rope_freqs.weight") != nullptr;
  c.rope_neighbours =
      c.arch == Architecture::llama || c.arch == Architecture::granite || c.arch == Architecture::minicpm;
  const float factor = positive_or(keys, "rope.scaling.factor", 1.0f);
  const Value* type = find(keys, "rope.scaling.type");
  const std::string_view name = type && is_string(*type) ? string_at(*type) : "";
  if (name == "linear") {
    c.rope_scale = factor;
  } else if (type ? name != "none" : factor != 1.0f) {
    // Readers differ in what a factor without a type means.
    throw wrong(keys, "rope.scaling.type", text_of(type), "none and linear are supported");
  }
}

void read_multipliers(const Keys& keys, ModelConfig& c) {
  if (c.arch == Architecture::minicpm) {
    for (const char* key : {"embedding_scale", "residual_scale", "logit_scale"}) positive_at(keys, key);
  }
  c.embedding_multiplier = positive_or(keys, "embedding_scale", 1.0f);
  c.residual_multiplier = positive_or(keys, "residual_scale", 1.0f);
  c.logits_scaling = positive_or(keys, "logit_scale", 1.0f);
  c.softmax_scale = c.arch == Architecture::granite
                        ? positive_at(keys, "attention.scale")
                        : static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)));
}

void read_experts(const Keys& keys, ModelConfig& c) {
  c.num_experts = size_at(keys, "expert_count", kMostExperts);
  c.num_experts_used = size_at(keys, "expert_used_count", c.num_experts);
  const bool has_own = find(keys, "expert_feed_forward_length") != nullptr;
  c.expert_intermediate_size = size_at(keys, has_own ? "expert_feed_forward_length" : "feed_forward_length");
  const Value* gating = find(keys, "expert_gating_func");
  const int64_t function = gating && !gating->is_array ? as_integer(*gating).value_or(0) : 0;
  if (function != 1 && function != 2) {
    throw wrong(keys, "expert_gating_func", text_of(gating), "1 (softmax) or 2 (sigmoid) is needed");
  }
  c.sigmoid_router = function == 2;
  const Value* window = find(keys, "attention.sliding_window");
  if (!window) return;
  const int64_t length = window->is_array ? -1 : as_integer(*window).value_or(-1);
  if (length < 0) throw wrong(keys, "attention.sliding_window", text_of(window), "a whole number is needed");
  // The published models all have this window, whatever the number in their files.
  c.sliding_window = length ? kWindow : 0;
  c.no_rope_period = length ? kNoRopePeriod : 0;
}

}  // namespace

const char* name_of(Architecture arch) {
  switch (arch) {
    case Architecture::llama: return "llama";
    case Architecture::qwen2: return "qwen2";
    case Architecture::qwen3: return "qwen3";
    case Architecture::granite: return "granite";
    case Architecture::minicpm: return "minicpm";
    case Architecture::smallthinker: return "smallthinker";
  }
  return "?";
}

ModelConfig read_config(const GgufFile& file) {
  ModelConfig c;
  c.arch = architecture_of(file);
  const Keys keys{file, std::string(name_of(c.arch)) + "."};
  read_vocabulary(file, c);
  c.hidden_size = size_at(keys, "embedding_length");
  c.num_hidden_layers = size_at(keys, "block_count");
  if (c.num_hidden_layers > static_cast<int64_t>(file.tensors.size())) {
    throw wrong(keys, "block_count", std::to_string(c.num_hidden_layers),
                "the file has " + std::to_string(file.tensors.size()) + " tensors");
  }
  c.context_length = size_or(keys, "context_length", kDefaultContext);
  read_heads(keys, c);
  read_rope(keys, c);
  c.rms_norm_eps = positive_at(keys, "attention.layer_norm_rms_epsilon");
  read_multipliers(keys, c);
  c.tied = find_tensor(file, "output.weight") == nullptr;
  c.attention_bias = c.arch == Architecture::qwen2;
  c.qk_norm = c.arch == Architecture::qwen3;
  if (c.arch == Architecture::smallthinker) {
    read_experts(keys, c);
  } else if (find(keys, "expert_count") && as_integer(*find(keys, "expert_count")).value_or(1) != 0) {
    throw wrong(keys, "expert_count", text_of(find(keys, "expert_count")), "experts are read in smallthinker alone");
  } else {
    c.intermediate_size = size_at(keys, "feed_forward_length");
  }
  return c;
}

}  // namespace dotori
