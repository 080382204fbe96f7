#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>

#include "format/utf8.h"

namespace dotori {
namespace {

using Symbol = BpeScratch::Symbol;
using Candidate = BpeScratch::Candidate;

constexpr uint32_t kCodes = 324;  // the 256 bytes, 68 of them spelled above U+00FF

struct ByteTable {
  uint16_t code_of[256];
  int16_t byte_of[kCodes];
};

constexpr ByteTable byte_table() {
  ByteTable table{};
  for (int16_t& byte : table.byte_of) byte = -1;
  uint16_t other = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool is_printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    table.code_of[byte] = is_printable ? static_cast<uint16_t>(byte) : other++;
    table.byte_of[table.code_of[byte]] = static_cast<int16_t>(byte);
  }
  return table;
}

constexpr ByteTable kBytes = byte_table();

// Tokens that text may become: never a control token.
int32_t find_plain(const Vocabulary& vocabulary, std::string_view spelled) {
  const int32_t id = find_token(vocabulary, spelled);
  return id >= 0 && type_of(vocabulary, id) != TokenType::control ? id : -1;
}

size_t slot_of(const std::vector<Merge>& slots, int32_t left, int32_t right) {
  const uint64_t pair = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  return mixed(pair) & (slots.size() - 1);
}

// Null when the pair does not merge.
const Merge* find_merge(const Bpe& bpe, int32_t left, int32_t right) {
  size_t slot = slot_of(bpe.slots, left, right);
  for (int probes = 0; probes < kMostProbes && bpe.slots[slot].left >= 0; ++probes) {
    if (bpe.slots[slot].left == left && bpe.slots[slot].right == right) return &bpe.slots[slot];
    slot = (slot + 1) & (bpe.slots.size() - 1);
  }
  return nullptr;
}

// A pair that stands twice keeps its later rank.
bool add_merge(std::vector<Merge>& slots, const Merge& merge) {
  size_t slot = slot_of(slots, merge.left, merge.right);
  for (int probes = 1; slots[slot].left >= 0; ++probes) {
    if (slots[slot].left == merge.left && slots[slot].right == merge.right) break;
    if (probes == kMostProbes) return false;
    slot = (slot + 1) & (slots.size() - 1);
  }
  slots[slot] = merge;
  return true;
}

Merge read_merge(const GgufFile& file, const Vocabulary& vocabulary, std::string_view text, int64_t rank,
                 std::string& joined) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
    throw damaged(file.path, "merge", quoted(text), "two tokens with one space between are needed");
  }
  joined.assign(text.substr(0, space)).append(text.substr(space + 1));
  Merge merge;
  merge.left = find_token(vocabulary, text.substr(0, space));
  merge.right = find_token(vocabulary, text.substr(space + 1));
  merge.result = find_token(vocabulary, joined);
  merge.rank = static_cast<uint32_t>(rank);
  if (merge.left < 0 || merge.right < 0 || merge.result < 0) {
    throw damaged(file.path, "merge", quoted(text), "its parts and its result must be tokens");
  }
  return merge;
}

void read_merges(const GgufFile& file, const Vocabulary& vocabulary, Bpe& bpe) {
  const Value* merges = find_value(file, "tokenizer.ggml.merges");
  const int64_t count = merges ? merges->count : 0;
  if (merges && (!merges->is_array || (count != 0 && merges->type != ValueType::String) || count > kMostMerges)) {
    throw damaged(file.path, "tokenizer.ggml.merges", text_of(merges),
                  "an array of at most " + std::to_string(kMostMerges) + " strings is needed");
  }
  bpe.slots.resize(std::bit_ceil(std::max<size_t>(2, static_cast<size_t>(count) * 8 / 5)));
  std::string joined;
  for (int64_t rank = 0; rank < count; ++rank) {
    const std::string_view text = string_at(*merges, rank);
    const Merge merge = read_merge(file, vocabulary, text, rank, joined);
    const auto is_control = [&](int32_t id) { return type_of(vocabulary, id) == TokenType::control; };
    if (is_control(merge.left) || is_control(merge.right) || is_control(merge.result)) continue;
    if (!add_merge(bpe.slots, merge)) throw damaged(file.path, "merge", quoted(text), "too many merges of one hash");
  }
}

bool comes_later(const Candidate& a, const Candidate& b) { return a.rank_and_place > b.rank_and_place; }

// Adds the merge of the symbol at `left` with its right neighbour, if there is one.
bool consider(const Bpe& bpe, BpeScratch& scratch, int32_t left) {
  const Symbol& symbol = scratch.symbols[static_cast<size_t>(left)];
  if (symbol.next < 0) return false;
  const Merge* merge = find_merge(bpe, symbol.id, scratch.symbols[static_cast<size_t>(symbol.next)].id);
  if (!merge) return false;
  const auto place = static_cast<uint32_t>(left);
  scratch.candidates.push_back({static_cast<uint64_t>(merge->rank) << 32 | place, merge->result});
  return true;
}

void merge_all(const Bpe& bpe, BpeScratch& scratch) {
  std::vector<Symbol>& symbols = scratch.symbols;
  std::vector<Candidate>& heap = scratch.candidates;
  while (!heap.empty()) {
    const Candidate best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), comes_later);
    heap.pop_back();
    const auto place = static_cast<int32_t>(best.rank_and_place & 0xffffffffu);
    Symbol& left = symbols[static_cast<size_t>(place)];
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    // A neighbour may have grown since: then the pair spells something longer.
    const Merge* merge = find_merge(bpe, left.id, right.id);
    if (!merge || merge->result != best.result) continue;
    left.id = best.result;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = place;
    for (const int32_t changed : {left.previous, place}) {
      if (changed >= 0 && consider(bpe, scratch, changed)) std::push_heap(heap.begin(), heap.end(), comes_later);
    }
  }
}

}  // namespace

Bpe make_bpe(const GgufFile& file, const Vocabulary& vocabulary, bool takes_whole_words) {
  Bpe bpe;
  bpe.takes_whole_words = takes_whole_words;
  for (size_t byte = 0; byte < 256; ++byte) {
    std::string spelled;
    append_utf8(kBytes.code_of[byte], spelled);
    bpe.byte_token[byte] = find_plain(vocabulary, spelled);
  }
  read_merges(file, vocabulary, bpe);
  return bpe;
}

void encode_word(const Bpe& bpe, const Vocabulary& vocabulary, std::string_view word, BpeScratch& scratch,
                 std::vector<int32_t>& out) {
  if (bpe.takes_whole_words) {
    scratch.spelled.clear();
    for (const char byte : word) append_utf8(kBytes.code_of[static_cast<unsigned char>(byte)], scratch.spelled);
    const int32_t id = find_plain(vocabulary, scratch.spelled);
    if (id >= 0) return out.push_back(id);
  }
  scratch.symbols.clear();
  scratch.candidates.clear();
  for (const char byte : word) {
    const int32_t id = bpe.byte_token[static_cast<unsigned char>(byte)];
    const auto place = static_cast<int32_t>(scratch.symbols.size());
    if (id >= 0) scratch.symbols.push_back({id, place - 1, place + 1});
  }
  if (scratch.symbols.empty()) return;
  scratch.symbols.back().next = -1;
  for (size_t place = 0; place + 1 < scratch.symbols.size(); ++place) {
    consider(bpe, scratch, static_cast<int32_t>(place));
  }
  std::make_heap(scratch.candidates.begin(), scratch.candidates.end(), comes_later);
  merge_all(bpe, scratch);
  for (const Symbol& symbol : scratch.symbols) {
    if (symbol.id >= 0) out.push_back(symbol.id);
  }
}

std::string bytes_of_spelling(std::string_view spelled) {
  std::string bytes;
  for (size_t at = 0; at < spelled.size();) {
    const Character character = character_at(spelled.data() + at);
    at += static_cast<size_t>(character.bytes);
    if (character.code < kCodes && kBytes.byte_of[character.code] >= 0) {
      bytes.push_back(static_cast<char>(kBytes.byte_of[character.code]));
    }
  }
  return bytes;
}

}  // namespace dotori
