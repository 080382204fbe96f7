// Text into the words that byte-level BPE works on: the pre-tokenizer expressions of the published tokenizer.json
// files, written out by hand.
//
//     qwen2      (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+
//                |\s+(?!\S)|\s+
//     llama_bpe  the same with \p{N}{1,3}
//     gpt2       's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//     smollm     two splits in a row: \p{N}, then gpt2
//     plain      four splits in a row (files whose family is "default"): [\p{P}$+<=>^~|]+, then gpt2, \p{N}+, [0-9]{3}
#pragma once

#include <cstddef>
#include <string_view>

namespace dotori {

enum class Pretokenizer { qwen2, llama_bpe, gpt2, smollm, plain };

// A place in a text. Every byte belongs to exactly one word.
struct Splitter {
  Pretokenizer kind;
  std::string_view text;  // UTF-8
  size_t at = 0;
  size_t part_end = 0;    // smollm, plain: where the part between numbers or punctuation ends
  size_t digits_end = 0;  // plain: where the run of digits ends that `at` is in
};

// The next word, empty at the end. Linear in the text over all calls.
std::string_view next_word(Splitter& splitter);

}  // namespace dotori
