#include "tokenizer/literals.h"

#include <algorithm>

#include "format/utf8.h"

namespace dotori {
namespace {

unsigned byte_at(std::string_view text, size_t at) { return static_cast<unsigned char>(text[at]); }

// The longest literal that `text` begins with, or -1. The sorted ids are a tree: at each depth the range narrows to
// those that share one byte more, and the shortest of a range stands first.
int32_t longest_at(const Literals& literals, const Vocabulary& vocabulary, std::string_view text) {
  const unsigned first = byte_at(text, 0);
  auto low = literals.ids.begin() + literals.first[first], high = literals.ids.begin() + literals.first[first + 1];
  int32_t found = -1;
  for (size_t depth = 1; low != high; ++depth) {
    if (spelling(vocabulary, *low).size() == depth) found = *low++;
    if (depth == text.size()) break;
    const unsigned wanted = byte_at(text, depth);
    const auto byte_of = [&](int32_t id) { return byte_at(spelling(vocabulary, id), depth); };
    low = std::partition_point(low, high, [&](int32_t id) { return byte_of(id) < wanted; });
    high = std::partition_point(low, high, [&](int32_t id) { return byte_of(id) == wanted; });
  }
  return found;
}

}  // namespace

Literals make_literals(const GgufFile& file, const Vocabulary& vocabulary) {
  Literals literals;
  for (int32_t id = 0; id < token_count(vocabulary); ++id) {
    const TokenType type = type_of(vocabulary, id);
    if (type != TokenType::user_defined && type != TokenType::control) continue;
    const std::string_view text = spelling(vocabulary, id);
    if (text.size() > kLongestLiteral) {
      throw damaged(file.path, "token", quoted(text), "control and user-defined tokens have at most 256 bytes");
    }
    literals.ids.push_back(id);
    literals.any_user_defined = literals.any_user_defined || type == TokenType::user_defined;
  }
  literals.ids.shrink_to_fit();
  std::sort(literals.ids.begin(), literals.ids.end(), [&](int32_t a, int32_t b) {
    return spelling(vocabulary, a) < spelling(vocabulary, b);  // by unsigned bytes, as char_traits compare
  });
  for (const int32_t id : literals.ids) ++literals.first[byte_at(spelling(vocabulary, id), 0) + 1];
  for (int byte = 0; byte < 256; ++byte) literals.first[byte + 1] += literals.first[byte];
  return literals;
}

FoundLiteral find_literal(const Literals& literals, const Vocabulary& vocabulary, std::string_view text, size_t from) {
  const FoundLiteral none = {-1, text.size(), text.size()};
  if (!literals.any_user_defined) return none;
  for (size_t at = from; at < text.size(); ++at) {
    const unsigned first = byte_at(text, at);
    if (literals.first[first] == literals.first[first + 1]) continue;
    const int32_t id = longest_at(literals, vocabulary, text.substr(at));
    if (id < 0) continue;
    const size_t bytes = spelling(vocabulary, id).size();
    if (type_of(vocabulary, id) == TokenType::user_defined) return {id, at, at + bytes};
    at += bytes - 1;
  }
  return none;
}

}  // namespace dotori
