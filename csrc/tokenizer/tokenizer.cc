#include "tokenizer/tokenizer.h"

#include "format/utf8.h"

namespace dotori {
namespace {

constexpr size_t kLongestText = size_t{1} << 30;

struct Family {
  std::string_view name;  // tokenizer.ggml.pre
  Pretokenizer kind;
};

constexpr Family kFamilies[] = {
    {"qwen2", Pretokenizer::qwen2},       {"deepseek-r1-qwen", Pretokenizer::qwen2},
    {"llama-bpe", Pretokenizer::llama_bpe}, {"llama3", Pretokenizer::llama_bpe},
    {"llama-v3", Pretokenizer::llama_bpe},  {"falcon3", Pretokenizer::llama_bpe},
    {"midm-2.0", Pretokenizer::llama_bpe},  {"gpt-2", Pretokenizer::gpt2},
    {"phi-2", Pretokenizer::gpt2},          {"smollm", Pretokenizer::smollm},
    {"refact", Pretokenizer::smollm},       {"starcoder", Pretokenizer::smollm},
    {"command-r", Pretokenizer::smollm},    {"default", Pretokenizer::plain}};

Pretokenizer pretokenizer_of(const GgufFile& file) {
  const Value* value = find_value(file, "tokenizer.ggml.pre");
  if (!value) return Pretokenizer::plain;
  for (const Family& family : kFamilies) {
    if (is_string(*value) && string_at(*value) == family.name) return family.kind;
  }
  throw Error(file.path + ": pre-tokenizer: " + text_of(value) +
              "; known: qwen2, llama-bpe, gpt-2, smollm, default; convert with one of these");
}

int32_t token_at(const GgufFile& file, const char* key, const Vocabulary& vocabulary) {
  const Value* value = find_value(file, key);
  if (!value) return -1;
  const int64_t id = value->is_array ? -1 : as_integer(*value).value_or(-1);
  if (id < 0 || id >= token_count(vocabulary)) {
    throw damaged(file.path, key, text_of(value),
                  "it must lie below the vocabulary's size (" + std::to_string(token_count(vocabulary)) + ")");
  }
  return static_cast<int32_t>(id);
}

bool flag_at(const GgufFile& file, const char* key, bool otherwise) {
  const Value* value = find_value(file, key);
  if (!value) return otherwise;
  const std::optional<bool> flag = as_boolean(*value);
  if (!flag) throw damaged(file.path, key, text_of(value), "true or false is needed");
  return *flag;
}

TokenizerModel model_of(const GgufFile& file) {
  const Value* value = find_value(file, "tokenizer.ggml.model");
  const std::string_view name = value && is_string(*value) ? string_at(*value) : "";
  if (name == "gpt2") return TokenizerModel::byte_level;
  if (name == "llama") return TokenizerModel::pieces;
  throw damaged(file.path, "tokenizer.ggml.model", text_of(value),
                "gpt2 (byte-level BPE) and llama (SentencePiece) are read");
}

// Ids of a text without user-defined tokens.
void encode_part(const Tokenizer& tokenizer, std::string_view part, BpeScratch& scratch, std::vector<int32_t>& out) {
  if (part.empty()) return;
  if (tokenizer.model == TokenizerModel::pieces) {
    return encode_pieces(tokenizer.pieces, tokenizer.vocabulary, part, out);
  }
  Splitter splitter{tokenizer.pretokenizer, part};
  for (std::string_view word = next_word(splitter); !word.empty(); word = next_word(splitter)) {
    encode_word(tokenizer.bpe, tokenizer.vocabulary, word, scratch, out);
  }
}

}  // namespace

Tokenizer make_tokenizer(const GgufFile& file) {
  Tokenizer tokenizer;
  tokenizer.model = model_of(file);
  tokenizer.vocabulary = make_vocabulary(file);
  tokenizer.literals = make_literals(file, tokenizer.vocabulary);
  bool adds_bos = tokenizer.model == TokenizerModel::pieces;
  if (tokenizer.model == TokenizerModel::byte_level) {
    tokenizer.pretokenizer = pretokenizer_of(file);
    // This family alone takes a whole word that is a token without merging, and begins texts with BOS unless told.
    adds_bos = tokenizer.pretokenizer == Pretokenizer::llama_bpe;
    tokenizer.bpe = make_bpe(file, tokenizer.vocabulary, adds_bos);
  } else {
    tokenizer.pieces = make_pieces(file, tokenizer.vocabulary);
    tokenizer.strips_first_space = tokenizer.pieces.adds_space;
  }
  tokenizer.bos = token_at(file, "tokenizer.ggml.bos_token_id", tokenizer.vocabulary);
  tokenizer.eos = token_at(file, "tokenizer.ggml.eos_token_id", tokenizer.vocabulary);
  tokenizer.pad = token_at(file, "tokenizer.ggml.padding_token_id", tokenizer.vocabulary);
  tokenizer.adds_bos = flag_at(file, "tokenizer.ggml.add_bos_token", adds_bos) && tokenizer.bos >= 0;
  return tokenizer;
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text) {
  if (text.size() >= kLongestText) {
    throw Error("text: " + std::to_string(text.size()) + " bytes; less than 1 GiB can be encoded at once; split it");
  }
  const int64_t invalid = first_invalid_utf8(text);
  if (invalid >= 0) {
    throw Error("text: byte " + std::to_string(invalid) +
                " is not UTF-8; valid Unicode is needed; decode it with errors='replace'");
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 8);
  BpeScratch scratch;
  size_t at = 0;
  while (at < text.size()) {
    const FoundLiteral literal = find_literal(tokenizer.literals, tokenizer.vocabulary, text, at);
    encode_part(tokenizer, text.substr(at, literal.begin - at), scratch, ids);
    if (literal.id >= 0) ids.push_back(literal.id);
    at = literal.end;
  }
  return ids;
}

std::string token_bytes(const Tokenizer& tokenizer, int32_t id) {
  const int count = token_count(tokenizer.vocabulary);
  if (id < 0 || id >= count) {
    throw Error("token id: " + std::to_string(id) + "; ids of this tokenizer are 0 to " + std::to_string(count - 1) +
                "; check the model");
  }
  const std::string_view spelled = spelling(tokenizer.vocabulary, id);
  const TokenType type = type_of(tokenizer.vocabulary, id);
  if (type == TokenType::control || type == TokenType::unused) return "";
  if (type == TokenType::user_defined) return std::string(spelled);
  if (tokenizer.model == TokenizerModel::byte_level) return bytes_of_spelling(spelled);
  return type == TokenType::unknown ? "" : bytes_of_piece(spelled);
}

int32_t control_token(const Tokenizer& tokenizer, std::string_view spelled) {
  const int32_t id = find_token(tokenizer.vocabulary, spelled);
  return id >= 0 && type_of(tokenizer.vocabulary, id) == TokenType::control ? id : -1;
}

}  // namespace dotori
