// A tokenizer's tokens: spellings by id, ids by spelling.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/gguf.h"

namespace dotori {

constexpr int64_t kMostTokens = 1 << 19;  // twice the largest published vocabularies
constexpr int64_t kMostSpellingBytes = 8 << 20;

// GGUF's numbers of token types. Plain text never becomes a control, unknown or unused token.
enum class TokenType : uint8_t { undefined, normal, unknown, control, user_defined, unused, byte };

struct Vocabulary {
  std::string text;  // all spellings end to end
  std::vector<uint32_t> ends;
  std::vector<TokenType> types;
  std::vector<int32_t> slots;  // a hash table of ids, -1 where empty; a power of two
  size_t longest = 0;          // bytes
};

// Throws Error for types that do not match the tokens, and when two tokens in use share a spelling.
Vocabulary make_vocabulary(const GgufFile& file);

inline int token_count(const Vocabulary& vocabulary) { return static_cast<int>(vocabulary.ends.size()); }

inline std::string_view spelling(const Vocabulary& vocabulary, int32_t id) {
  const auto index = static_cast<size_t>(id);
  const uint32_t begin = index ? vocabulary.ends[index - 1] : 0;
  return {vocabulary.text.data() + begin, vocabulary.ends[index] - begin};
}

inline TokenType type_of(const Vocabulary& vocabulary, int32_t id) {
  return vocabulary.types[static_cast<size_t>(id)];
}

// The token of this spelling, whatever its type (never an unused one), or -1.
int32_t find_token(const Vocabulary& vocabulary, std::string_view wanted);

// How far a hash table may be searched: an entry beyond exists only in files made to be slow.
constexpr int kMostProbes = 1024;

inline uint64_t mixed(uint64_t value) {
  value = (value ^ value >> 32) * 0x9e3779b97f4a7c15u;
  value = (value ^ value >> 29) * 0xbf58476d1ce4e5b9u;
  return value ^ value >> 32;
}

}  // namespace dotori
