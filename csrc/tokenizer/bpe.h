// Byte-level BPE of one word. A token is spelled with one printable character per byte (GPT-2's table): the byte itself
// where it is printable, else the characters from U+0100 on.
#pragma once

#include <array>

#include "tokenizer/vocabulary.h"

namespace dotori {

constexpr int64_t kMostMerges = 655360;  // half as many again as the largest published list

struct Merge {
  int32_t left = -1, right = -1;  // ids; left -1: an empty slot
  uint32_t rank = 0;
  int32_t result = -1;
};

struct Bpe {
  std::array<int32_t, 256> byte_token{};  // -1: no token spells this byte, and text loses it
  std::vector<Merge> slots;               // a hash table of merges; a power of two
  bool takes_whole_words = false;         // a word that is a token is not merged
};

// Throws Error for a merge that is not two tokens making a third. Merges of control tokens are left out.
Bpe make_bpe(const GgufFile& file, const Vocabulary& vocabulary, bool takes_whole_words);

// Memory that words share.
struct BpeScratch {
  struct Symbol {
    int32_t id, previous, next;  // places in symbols; id -1: merged into its left neighbour
  };
  struct Candidate {
    uint64_t rank_and_place;
    int32_t result;
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> candidates;  // a heap, the lowest rank first, then the leftmost
  std::string spelled;
};

// Appends the ids of a word. O(n log n).
void encode_word(const Bpe& bpe, const Vocabulary& vocabulary, std::string_view word, BpeScratch& scratch,
                 std::vector<int32_t>& out);

// The bytes that a byte-level spelling stands for; characters outside the table stand for none.
std::string bytes_of_spelling(std::string_view spelled);

}  // namespace dotori
