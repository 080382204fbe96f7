// Tokens that are found in a text as they are spelled, before anything else looks at it: user-defined tokens, which
// become their id, and control tokens, which stay text but hide what they contain from the search.
#pragma once

#include "tokenizer/vocabulary.h"

namespace dotori {

constexpr size_t kLongestLiteral = 256;  // bytes; it bounds the work at each byte of a text

struct Literals {
  std::vector<int32_t> ids;   // in the order of their spellings
  uint32_t first[257] = {};   // ids[first[b], first[b + 1]) begin with byte b
  bool any_user_defined = false;
};

// Throws Error for a literal that is too long.
Literals make_literals(const GgufFile& file, const Vocabulary& vocabulary);

struct FoundLiteral {
  int32_t id;  // -1: none; begin and end are then the text's end
  size_t begin, end;
};

// The leftmost user-defined token from `from` on, the longest of those that begin there.
FoundLiteral find_literal(const Literals& literals, const Vocabulary& vocabulary, std::string_view text, size_t from);

}  // namespace dotori
