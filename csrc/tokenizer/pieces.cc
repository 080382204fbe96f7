#include "tokenizer/pieces.h"

#include <algorithm>
#include <cmath>

#include "format/utf8.h"

namespace dotori {
namespace {

constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581

struct Symbol {
  uint32_t begin, bytes;  // in the text; 0 bytes: merged into its left neighbour
  int32_t previous, next;
  int32_t id;  // -1: no piece
};

struct Candidate {
  float score;
  int32_t left;
  uint32_t bytes;
  int32_t id;
};

bool comes_later(const Candidate& a, const Candidate& b) {
  return a.score < b.score || (a.score == b.score && a.left > b.left);
}

int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

// The byte that <0x00> to <0xFF> names, -1 for other spellings.
int named_byte(std::string_view spelled) {
  if (spelled.size() != 6 || spelled.substr(0, 3) != "<0x" || spelled[5] != '>') return -1;
  const int high = hex_digit(spelled[3]), low = hex_digit(spelled[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// Pieces that text may become.
int32_t find_piece(const Vocabulary& vocabulary, std::string_view text) {
  const int32_t id = find_token(vocabulary, text);
  if (id < 0) return -1;
  const TokenType type = type_of(vocabulary, id);
  const bool is_plain = type == TokenType::normal || type == TokenType::user_defined || type == TokenType::undefined;
  return is_plain && named_byte(text) < 0 ? id : -1;
}

void read_scores(const GgufFile& file, const Vocabulary& vocabulary, Pieces& pieces) {
  const Value* scores = find_value(file, "tokenizer.ggml.scores");
  if (!scores || !scores->is_array || scores->count != token_count(vocabulary)) {
    throw damaged(file.path, "tokenizer.ggml.scores", text_of(scores), "one number a token is needed");
  }
  pieces.scores.reserve(static_cast<size_t>(scores->count));
  for (int64_t id = 0; id < scores->count; ++id) {
    const auto score = static_cast<float>(as_number(*scores, id).value_or(NAN));
    if (!std::isfinite(score)) {
      throw damaged(file.path, "tokenizer.ggml.scores", "of token " + std::to_string(id), "finite numbers are needed");
    }
    pieces.scores.push_back(score);
  }
}

void read_bytes(const GgufFile& file, const Vocabulary& vocabulary, Pieces& pieces) {
  pieces.byte_token.fill(-1);
  for (int32_t id = 0; id < token_count(vocabulary); ++id) {
    const TokenType type = type_of(vocabulary, id);
    const int byte = named_byte(spelling(vocabulary, id));
    if (type == TokenType::byte && byte < 0) {
      throw damaged(file.path, "byte token", quoted(spelling(vocabulary, id)), "<0x00> to <0xFF> are needed");
    }
    if (byte >= 0 && (type == TokenType::byte || type == TokenType::normal)) {
      pieces.byte_token[static_cast<size_t>(byte)] = id;
    }
  }
  if (const Value* unknown = find_value(file, "tokenizer.ggml.unknown_token_id")) {
    const int64_t id = unknown->is_array ? -1 : as_integer(*unknown).value_or(-1);
    if (id < 0 || id >= token_count(vocabulary)) {
      throw damaged(file.path, "tokenizer.ggml.unknown_token_id", text_of(unknown), "a token's id is needed");
    }
    // Some files call it a control token, which text must not become; it is then no way out.
    const bool is_control = type_of(vocabulary, static_cast<int32_t>(id)) == TokenType::control;
    pieces.unknown = is_control ? -1 : static_cast<int32_t>(id);
  }
  const bool is_whole = std::find(pieces.byte_token.begin(), pieces.byte_token.end(), -1) == pieces.byte_token.end();
  if (!is_whole && pieces.unknown < 0) {
    throw damaged(file.path, "tokenizer.ggml.tokens", "without all of <0x00> to <0xFF>",
                  "every byte needs a token where there is no unknown token");
  }
}

struct Merger {
  const Pieces& pieces;
  const Vocabulary& vocabulary;
  std::string_view text;
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

// Adds the merge of the symbol at `left` with its right neighbour, if there is one.
bool consider(Merger& merger, int32_t left) {
  const Symbol& one = merger.symbols[static_cast<size_t>(left)];
  if (one.next < 0) return false;
  const uint32_t bytes = one.bytes + merger.symbols[static_cast<size_t>(one.next)].bytes;
  const int32_t id = find_piece(merger.vocabulary, merger.text.substr(one.begin, bytes));
  if (id < 0) return false;
  merger.heap.push_back({merger.pieces.scores[static_cast<size_t>(id)], left, bytes, id});
  return true;
}

void merge_all(Merger& merger) {
  std::vector<Symbol>& symbols = merger.symbols;
  std::vector<Candidate>& heap = merger.heap;
  std::make_heap(heap.begin(), heap.end(), comes_later);
  while (!heap.empty()) {
    const Candidate best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), comes_later);
    heap.pop_back();
    Symbol& left = symbols[static_cast<size_t>(best.left)];
    if (left.bytes == 0 || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (left.bytes + right.bytes != best.bytes) continue;  // one of them has grown since
    left.bytes = best.bytes;
    left.id = best.id;
    left.next = right.next;
    right.bytes = 0;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.left;
    for (const int32_t changed : {left.previous, best.left}) {
      if (changed >= 0 && consider(merger, changed)) std::push_heap(heap.begin(), heap.end(), comes_later);
    }
  }
}

void append_bytes(const Pieces& pieces, std::string_view character, std::vector<int32_t>& out) {
  for (const char byte : character) {
    const int32_t id = pieces.byte_token[static_cast<unsigned char>(byte)];
    if (id < 0) {
      out.push_back(pieces.unknown);
      return;
    }
    out.push_back(id);
  }
}

void encode_word(Merger& merger, std::vector<int32_t>& out) {
  merger.symbols.clear();
  merger.heap.clear();
  for (size_t at = 0; at < merger.text.size();) {
    const auto bytes = static_cast<size_t>(character_at(merger.text.data() + at).bytes);
    const auto place = static_cast<int32_t>(merger.symbols.size());
    const int32_t id = find_piece(merger.vocabulary, merger.text.substr(at, bytes));
    const auto begin = static_cast<uint32_t>(at), length = static_cast<uint32_t>(bytes);
    merger.symbols.push_back({begin, length, place - 1, place + 1, id});
    at += bytes;
  }
  merger.symbols.back().next = -1;
  for (size_t place = 0; place < merger.symbols.size(); ++place) consider(merger, static_cast<int32_t>(place));
  merge_all(merger);
  for (const Symbol& symbol : merger.symbols) {
    if (symbol.bytes == 0) continue;
    if (symbol.id >= 0) {
      out.push_back(symbol.id);
    } else {
      append_bytes(merger.pieces, merger.text.substr(symbol.begin, symbol.bytes), out);
    }
  }
}

// The next place with a space there and something else before it.
size_t word_end(std::string_view text, size_t begin) {
  for (size_t at = text.find(kSpace, begin + 1); at != std::string_view::npos; at = text.find(kSpace, at + 1)) {
    const size_t before = at < kSpace.size() ? 0 : at - kSpace.size();
    if (text.substr(before, kSpace.size()) != kSpace) return at;
  }
  return text.size();
}

bool can_split_at_spaces(const Vocabulary& vocabulary) {
  for (int32_t id = 0; id < token_count(vocabulary); ++id) {
    const std::string_view piece = spelling(vocabulary, id);
    if (word_end(piece, 0) != piece.size()) return false;
  }
  return true;
}

}  // namespace

Pieces make_pieces(const GgufFile& file, const Vocabulary& vocabulary) {
  Pieces pieces;
  read_scores(file, vocabulary, pieces);
  read_bytes(file, vocabulary, pieces);
  pieces.splits_at_spaces = can_split_at_spaces(vocabulary);
  if (const Value* adds_space = find_value(file, "tokenizer.ggml.add_space_prefix")) {
    const std::optional<bool> flag = as_boolean(*adds_space);
    if (!flag) {
      throw damaged(file.path, "tokenizer.ggml.add_space_prefix", text_of(adds_space), "true or false is needed");
    }
    pieces.adds_space = *flag;
  }
  return pieces;
}

void encode_pieces(const Pieces& pieces, const Vocabulary& vocabulary, std::string_view text,
                   std::vector<int32_t>& out) {
  std::string spelled(pieces.adds_space ? kSpace : "");
  for (const char byte : text) {
    if (byte == ' ') {
      spelled += kSpace;
    } else {
      spelled += byte;
    }
  }
  Merger merger{pieces, vocabulary, {}, {}, {}};
  const std::string_view all = spelled;
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = pieces.splits_at_spaces ? word_end(all, begin) : all.size();
    merger.text = all.substr(begin, end - begin);
    encode_word(merger, out);
    begin = end;
  }
}

std::string bytes_of_piece(std::string_view spelled) {
  const int byte = named_byte(spelled);
  if (byte >= 0) return std::string(1, static_cast<char>(byte));
  std::string bytes;
  for (size_t at = 0; at < spelled.size();) {
    if (spelled.substr(at, kSpace.size()) == kSpace) {
      bytes += ' ';
      at += kSpace.size();
    } else {
      bytes += spelled[at++];
    }
  }
  return bytes;
}

}  // namespace dotori
