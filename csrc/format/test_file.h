// GGUF files for tests, written into memory: any keys, any tensors, and small whole models.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "format/gguf.h"
#include "format/utf8.h"

namespace dotori::test {

struct TestFile {
  std::string pairs, infos;
  uint64_t pair_count = 0, tensor_count = 0, data_bytes = 0;
  uint32_t alignment = 32;
  std::string skipped;  // a key that is not written
  std::vector<size_t> pair_fields, info_fields;  // where each number stands, for mutations
  std::vector<size_t> value_fields;              // the metadata's own numbers among the pairs
};

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

template <typename T>
void put_field(TestFile& file, T value) {
  file.pair_fields.push_back(file.pairs.size());
  put(file.pairs, value);
}

inline void put_text(TestFile& file, const std::string& text) {
  put_field(file, static_cast<uint64_t>(text.size()));
  file.pairs += text;
}

template <typename T>
constexpr ValueType type_number() {
  if (std::is_same_v<T, bool>) return ValueType::Bool;
  if (std::is_same_v<T, float>) return ValueType::F32;
  if (std::is_same_v<T, int32_t>) return ValueType::I32;
  if (std::is_same_v<T, uint64_t>) return ValueType::U64;
  return ValueType::U32;
}

// False for the skipped key, which then gets no value either.
inline bool add_key(TestFile& file, const std::string& key, ValueType type) {
  if (key == file.skipped) return false;
  ++file.pair_count;
  put_text(file, key);
  put_field(file, static_cast<uint32_t>(type));
  return true;
}

template <typename T>
void add(TestFile& file, const std::string& key, T value) {
  if (!add_key(file, key, type_number<T>())) return;
  file.value_fields.push_back(file.pairs.size());
  put_field(file, value);
}

inline void add(TestFile& file, const std::string& key, const char* text) {
  if (add_key(file, key, ValueType::String)) put_text(file, text);
}

inline void add(TestFile& file, const std::string& key, const std::vector<std::string>& texts) {
  if (!add_key(file, key, ValueType::Array)) return;
  put_field(file, static_cast<uint32_t>(ValueType::String));
  put_field(file, static_cast<uint64_t>(texts.size()));
  for (const std::string& text : texts) put_text(file, text);
}

template <typename T>
void add(TestFile& file, const std::string& key, const std::vector<T>& numbers) {
  if (!add_key(file, key, ValueType::Array)) return;
  put_field(file, static_cast<uint32_t>(type_number<T>()));
  put_field(file, static_cast<uint64_t>(numbers.size()));
  for (const T number : numbers) {
    file.value_fields.push_back(file.pairs.size());
    put(file.pairs, number);
  }
}

inline uint64_t aligned(uint64_t at, uint64_t alignment) { return (at + alignment - 1) / alignment * alignment; }

// shape[0] is the columns.
inline void add_tensor(TestFile& file, const std::string& name, const std::vector<uint64_t>& shape,
                       DType type = DType::F32) {
  ++file.tensor_count;
  const auto field = [&file](auto value) {
    file.info_fields.push_back(file.infos.size());
    put(file.infos, value);
  };
  field(static_cast<uint64_t>(name.size()));
  file.infos += name;
  field(static_cast<uint32_t>(shape.size()));
  uint64_t weights = 1;
  for (const uint64_t size : shape) {
    field(size);
    weights *= size;
  }
  field(static_cast<uint32_t>(type));
  file.data_bytes = aligned(file.data_bytes, file.alignment);
  field(file.data_bytes);
  const BlockSize block = block_size(type);
  file.data_bytes += weights / static_cast<uint64_t>(block.weights) * static_cast<uint64_t>(block.bytes);
}

// The file's bytes; a tensor's data byte i is i's lowest byte.
inline std::string finish(const TestFile& file) {
  std::string out = "GGUF";
  put(out, uint32_t{3});
  put(out, file.tensor_count);
  put(out, file.pair_count);
  out += file.pairs + file.infos;
  if (file.tensor_count == 0) return out;
  out.resize(aligned(out.size(), file.alignment));
  for (uint64_t i = 0; i < file.data_bytes; ++i) out.push_back(static_cast<char>(i));
  return out;
}

// Where numbers stand in `finish`'s bytes.
inline std::vector<size_t> fields_of(const TestFile& file) {
  std::vector<size_t> fields = {4, 8, 16};
  for (const size_t at : file.pair_fields) fields.push_back(24 + at);
  for (const size_t at : file.info_fields) fields.push_back(24 + file.pairs.size() + at);
  return fields;
}

inline GgufFile parse(const std::string& bytes) {
  return parse_gguf(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int64_t>(bytes.size()), "test.gguf");
}

// How byte-level BPE spells a byte.
inline std::string spelled_byte(int byte) {
  int other = 256;
  for (int earlier = 0; earlier <= byte; ++earlier) {
    const bool is_printable = (earlier >= 0x21 && earlier <= 0x7e) || (earlier >= 0xa1 && earlier != 0xad);
    if (earlier == byte) other = is_printable ? byte : other;
    else if (!is_printable) ++other;
  }
  std::string out;
  append_utf8(static_cast<uint32_t>(other), out);
  return out;
}

// 256 bytes, four merges of "the" and "hello", then `control`, then `user_defined`.
inline void add_byte_level(TestFile& file, const char* family, const std::vector<std::string>& control,
                           const std::vector<std::string>& user_defined) {
  std::vector<std::string> tokens, merges = {"t h", "th e", "l l", "h e"};
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(spelled_byte(byte));
  for (const char* token : {"th", "the", "ll", "he"}) tokens.push_back(token);
  std::vector<int32_t> types(tokens.size(), 1);
  for (const std::string& token : control) tokens.push_back(token);
  types.resize(tokens.size(), 3);
  for (const std::string& token : user_defined) tokens.push_back(token);
  types.resize(tokens.size(), 4);
  add(file, "tokenizer.ggml.model", "gpt2");
  add(file, "tokenizer.ggml.pre", family);
  add(file, "tokenizer.ggml.tokens", tokens);
  add(file, "tokenizer.ggml.token_type", types);
  add(file, "tokenizer.ggml.merges", merges);
}

// <unk>, <s>, </s>, 256 bytes, then some pieces.
inline void add_pieces(TestFile& file, const std::vector<std::string>& pieces) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr char digits[] = "0123456789ABCDEF";
    tokens.push_back(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">");
    types.push_back(6);
  }
  std::vector<float> scores(tokens.size(), 0.0f);
  for (const std::string& piece : pieces) {
    scores.push_back(-static_cast<float>(scores.size()));
    tokens.push_back(piece);
    types.push_back(1);
  }
  add(file, "tokenizer.ggml.model", "llama");
  add(file, "tokenizer.ggml.tokens", tokens);
  add(file, "tokenizer.ggml.scores", scores);
  add(file, "tokenizer.ggml.token_type", types);
  add(file, "tokenizer.ggml.unknown_token_id", uint32_t{0});
}

// What `add_model` writes; a test changes one field and looks for the error.
struct TestModel {
  std::string arch = "llama";
  uint32_t vocab = 0, hidden = 32, heads = 2, kv_heads = 1, head_dim = 16, neurons = 64, layers = 2;
  uint32_t experts = 0;
  bool has_bias = false, has_head = false;
  DType type = DType::Q4_0;
};

inline void add_shape(TestFile& file, const TestModel& m) {
  const std::string prefix = m.arch + ".";
  add(file, "general.architecture", m.arch.c_str());
  add(file, prefix + "context_length", uint32_t{128});
  add(file, prefix + "embedding_length", m.hidden);
  add(file, prefix + "block_count", m.layers);
  add(file, prefix + "feed_forward_length", m.neurons);
  add(file, prefix + "attention.head_count", m.heads);
  add(file, prefix + "attention.head_count_kv", m.kv_heads);
  add(file, prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
  if (m.experts) {
    add(file, prefix + "expert_count", m.experts);
    add(file, prefix + "expert_used_count", uint32_t{2});
    add(file, prefix + "expert_gating_func", uint32_t{2});
  }
}

inline void add_tensors(TestFile& file, const TestModel& m) {
  const uint64_t queries = uint64_t{m.heads} * m.head_dim, keys = uint64_t{m.kv_heads} * m.head_dim;
  add_tensor(file, "token_embd.weight", {m.hidden, m.vocab}, DType::Q8_0);
  add_tensor(file, "output_norm.weight", {m.hidden});
  if (m.has_head) add_tensor(file, "output.weight", {m.hidden, m.vocab}, DType::Q8_0);
  for (uint32_t layer = 0; layer < m.layers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    add_tensor(file, prefix + "attn_norm.weight", {m.hidden});
    add_tensor(file, prefix + "ffn_norm.weight", {m.hidden});
    add_tensor(file, prefix + "attn_q.weight", {m.hidden, queries}, m.type);
    add_tensor(file, prefix + "attn_k.weight", {m.hidden, keys}, m.type);
    add_tensor(file, prefix + "attn_v.weight", {m.hidden, keys}, m.type);
    add_tensor(file, prefix + "attn_output.weight", {queries, m.hidden}, m.type);
    if (m.has_bias) {
      add_tensor(file, prefix + "attn_q.bias", {queries});
      add_tensor(file, prefix + "attn_k.bias", {keys});
      add_tensor(file, prefix + "attn_v.bias", {keys});
    }
    if (m.experts) {
      add_tensor(file, prefix + "ffn_gate_inp.weight", {m.hidden, m.experts});
      add_tensor(file, prefix + "ffn_gate_exps.weight", {m.hidden, m.neurons, m.experts}, m.type);
      add_tensor(file, prefix + "ffn_up_exps.weight", {m.hidden, m.neurons, m.experts}, m.type);
      add_tensor(file, prefix + "ffn_down_exps.weight", {m.neurons, m.hidden, m.experts}, m.type);
    } else {
      add_tensor(file, prefix + "ffn_gate.weight", {m.hidden, m.neurons}, m.type);
      add_tensor(file, prefix + "ffn_up.weight", {m.hidden, m.neurons}, m.type);
      add_tensor(file, prefix + "ffn_down.weight", {m.neurons, m.hidden}, m.type);
    }
  }
}

// A whole small model with a byte-level tokenizer of 262 tokens: <|end|> is 260, <tool> 261.
inline TestFile small_model(TestModel model = {}, const std::string& skipped = "") {
  TestFile file;
  file.skipped = skipped;
  add_shape(file, model);
  add_byte_level(file, "qwen2", {"<|end|>"}, {"<tool>"});
  add(file, "tokenizer.ggml.eos_token_id", uint32_t{260});
  file.skipped.clear();
  model.vocab = 262;
  add_tensors(file, model);
  return file;
}

}  // namespace dotori::test
