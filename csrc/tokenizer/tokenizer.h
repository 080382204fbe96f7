// A GGUF file's tokenizer: text to ids, ids to bytes. Byte-level BPE (tokenizer.ggml.model gpt2) and SentencePiece's
// BPE (llama). Never changed once made, so that any number of threads may use one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe.h"
#include "tokenizer/literals.h"
#include "tokenizer/pieces.h"
#include "tokenizer/splitter.h"

namespace dotori {

enum class TokenizerModel { byte_level, pieces };

struct Tokenizer {
  TokenizerModel model = TokenizerModel::byte_level;
  Pretokenizer pretokenizer = Pretokenizer::gpt2;  // byte_level
  Vocabulary vocabulary;
  Literals literals;
  Bpe bpe;        // byte_level
  Pieces pieces;  // pieces
  int32_t bos = -1, eos = -1, pad = -1;
  bool adds_bos = false;            // a text begins with `bos`; encode leaves that to its caller
  bool strips_first_space = false;  // decoding drops the space that `encode` puts before the first word
};

// Takes no memory of the file's. Throws Error for a tokenizer that is not known or does not fit together.
Tokenizer make_tokenizer(const GgufFile& file);

// Ids of `text`; a control token spelled in it is ordinary text. Throws Error unless it is UTF-8 of less than 1 GiB.
std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text);

// The bytes that a token stands for, which need not be whole characters; none for control, unknown and unused tokens.
// Throws Error for an id outside the vocabulary.
std::string token_bytes(const Tokenizer& tokenizer, int32_t id);

// The control token of this spelling, or -1: for chat templates, which alone put control tokens into a prompt.
int32_t control_token(const Tokenizer& tokenizer, std::string_view spelled);

}  // namespace dotori
