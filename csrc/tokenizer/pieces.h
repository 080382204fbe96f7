// SentencePiece's BPE of a text: neighbours that together spell a piece merge, the highest score first; a character
// that is no piece becomes its bytes. Spaces are spelled U+2581.
#pragma once

#include <array>

#include "tokenizer/vocabulary.h"

namespace dotori {

struct Pieces {
  std::vector<float> scores;              // by id
  std::array<int32_t, 256> byte_token{};  // <0x00> to <0xFF>; -1 where there is none
  int32_t unknown = -1;                   // what a character becomes whose bytes have no tokens; never control
  bool splits_at_spaces = false;          // no token holds a space after another character, so words stand alone
  bool adds_space = true;                 // before a text and before what follows a user-defined token
};

// Throws Error for scores that do not match the tokens, and when a byte has no token and there is no unknown token.
Pieces make_pieces(const GgufFile& file, const Vocabulary& vocabulary);

// Appends the ids of a text without user-defined tokens, less than 2^30 bytes. O(n log n).
void encode_pieces(const Pieces& pieces, const Vocabulary& vocabulary, std::string_view text,
                   std::vector<int32_t>& out);

// The bytes that a piece stands for.
std::string bytes_of_piece(std::string_view spelled);

}  // namespace dotori
