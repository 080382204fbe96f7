#include "tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "format/utf8.h"

namespace dotori {
namespace {

uint64_t hash_of(std::string_view text) {
  uint64_t hash = text.size();
  while (text.size() >= sizeof hash) {
    uint64_t eight;
    std::memcpy(&eight, text.data(), sizeof eight);
    hash = mixed(hash ^ eight);
    text.remove_prefix(sizeof eight);
  }
  uint64_t rest = 0;
  std::memcpy(&rest, text.data(), text.size());
  return mixed(hash ^ rest);
}

void read_types(const GgufFile& file, Vocabulary& vocabulary) {
  const size_t count = vocabulary.ends.size();
  vocabulary.types.assign(count, TokenType::normal);
  const Value* types = find_value(file, "tokenizer.ggml.token_type");
  if (types && (!types->is_array || (types->count != 0 && types->count != static_cast<int64_t>(count)))) {
    throw damaged(file.path, "tokenizer.ggml.token_type", text_of(types), "one type a token is needed");
  }
  if (types && types->count) {
    for (size_t id = 0; id < count; ++id) {
      const int64_t type = as_integer(*types, static_cast<int64_t>(id)).value_or(-1);
      if (type < 0 || type > static_cast<int64_t>(TokenType::byte)) {
        throw damaged(file.path, "tokenizer.ggml.token_type", "of token " + std::to_string(id), "0 to 6 are known");
      }
      vocabulary.types[id] = static_cast<TokenType>(type);
    }
  }
  for (size_t id = 0; id < count; ++id) {
    if (spelling(vocabulary, static_cast<int32_t>(id)).empty()) vocabulary.types[id] = TokenType::unused;
  }
}

void index_tokens(const GgufFile& file, Vocabulary& vocabulary) {
  const int count = token_count(vocabulary);
  vocabulary.slots.assign(std::bit_ceil(static_cast<size_t>(count) * 3 / 2 + 1), -1);
  const size_t mask = vocabulary.slots.size() - 1;
  for (int32_t id = 0; id < count; ++id) {
    if (type_of(vocabulary, id) == TokenType::unused) continue;
    const std::string_view text = spelling(vocabulary, id);
    size_t slot = hash_of(text) & mask;
    int probes = 0;
    while (vocabulary.slots[slot] >= 0) {
      if (spelling(vocabulary, vocabulary.slots[slot]) == text) {
        throw damaged(file.path, "token", quoted(text), "two ids share one spelling; each token must be unique");
      }
      if (++probes == kMostProbes) {
        throw damaged(file.path, "token", quoted(text), "too many tokens of one hash");
      }
      slot = (slot + 1) & mask;
    }
    vocabulary.slots[slot] = id;
    vocabulary.longest = std::max(vocabulary.longest, text.size());
  }
}

}  // namespace

Vocabulary make_vocabulary(const GgufFile& file) {
  const Value* tokens = find_value(file, "tokenizer.ggml.tokens");
  if (!tokens || !is_string_array(*tokens) || tokens->count < 1 || tokens->count > kMostTokens) {
    throw damaged(file.path, "tokenizer.ggml.tokens", text_of(tokens),
                  "an array of 1 to " + std::to_string(kMostTokens) + " strings is needed");
  }
  if (static_cast<int64_t>(tokens->bytes.size()) > kMostSpellingBytes) {
    throw damaged(file.path, "tokenizer.ggml.tokens", std::to_string(tokens->bytes.size()) + " bytes",
                  "at most " + std::to_string(kMostSpellingBytes));
  }
  Vocabulary vocabulary;
  vocabulary.text.assign(reinterpret_cast<const char*>(tokens->bytes.data()), tokens->bytes.size());
  vocabulary.ends = tokens->ends;
  read_types(file, vocabulary);
  index_tokens(file, vocabulary);
  return vocabulary;
}

int32_t find_token(const Vocabulary& vocabulary, std::string_view wanted) {
  if (wanted.size() > vocabulary.longest) return -1;
  const size_t mask = vocabulary.slots.size() - 1;
  size_t slot = hash_of(wanted) & mask;
  for (int probes = 0; probes < kMostProbes && vocabulary.slots[slot] >= 0; ++probes) {
    if (spelling(vocabulary, vocabulary.slots[slot]) == wanted) return vocabulary.slots[slot];
    slot = (slot + 1) & mask;
  }
  return -1;
}

}  // namespace dotori
