#include "tokenizer/splitter.h"

#include <algorithm>

#include "format/utf8.h"
#include "tokenizer/unicode_tables.h"

namespace dotori {
namespace {

constexpr size_t kNowhere = std::string_view::npos;
constexpr uint32_t kLongS = 0x17f;  // an `s` to expressions that ignore case

struct Seen {
  uint32_t code;
  CharacterClass kind;
  size_t next;
};

struct AsciiClasses {
  CharacterClass of[128];
};

constexpr AsciiClasses ascii_classes() {
  AsciiClasses classes{};
  for (int code = 0; code < 128; ++code) {
    const bool is_letter = (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
    const bool is_space = code == ' ' || (code >= 9 && code <= 13);
    const bool is_digit = code >= '0' && code <= '9';
    const bool is_punctuation = std::string_view("!\"#%&'()*,-./:;?@[\\]_{}").find(static_cast<char>(code)) != kNowhere;
    classes.of[code] = is_letter        ? CharacterClass::letter
                       : is_digit       ? CharacterClass::number
                       : is_space       ? CharacterClass::space
                       : is_punctuation ? CharacterClass::punctuation
                                        : CharacterClass::other;
  }
  return classes;
}

constexpr AsciiClasses kAscii = ascii_classes();

Seen see(std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {byte, kAscii.of[byte], at + 1};
  const Character character = character_at(text.data() + at);
  return {character.code, class_of(character.code), at + static_cast<size_t>(character.bytes)};
}

bool is_symbol(CharacterClass kind) { return kind == CharacterClass::other || kind == CharacterClass::punctuation; }
bool is_newline(uint32_t code) { return code == '\r' || code == '\n'; }

// The end of the run of characters of one class; symbols count as one.
size_t run_end(std::string_view text, size_t at, CharacterClass kind) {
  while (at < text.size()) {
    const Seen seen = see(text, at);
    if (seen.kind != kind && !(is_symbol(kind) && is_symbol(seen.kind))) break;
    at = seen.next;
  }
  return at;
}

// The end of 's 't 're 've 'm 'll 'd at an apostrophe, or `at`.
size_t contraction_end(std::string_view text, size_t at, bool ignores_case) {
  const auto letter = [&](size_t index) -> uint32_t {
    if (index >= text.size()) return 0;
    const auto byte = static_cast<unsigned char>(text[index]);
    return ignores_case && byte >= 'A' && byte <= 'Z' ? byte + 32u : byte;
  };
  const uint32_t first = letter(at + 1), second = first ? letter(at + 2) : 0;
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  if (second == 'e' && (first == 'r' || first == 'v')) return at + 3;
  if (second == 'l' && first == 'l') return at + 3;
  if (ignores_case && first >= 0x80) {
    const Seen seen = see(text, at + 1);
    if (seen.code == kLongS) return seen.next;
  }
  return at;
}

// \s*[\r\n]+ (where asked for), \s+(?!\S), \s+ at a space.
size_t spaces_end(std::string_view text, size_t begin, bool ends_at_newline) {
  size_t at = begin, last = begin, newline_end = begin;
  while (at < text.size()) {
    const Seen seen = see(text, at);
    if (seen.kind != CharacterClass::space) break;
    last = at;
    at = seen.next;
    if (is_newline(seen.code)) newline_end = at;
  }
  if (ends_at_newline && newline_end > begin) return newline_end;
  return at == text.size() || last == begin ? at : last;
}

size_t modern_end(std::string_view text, size_t begin, int most_digits) {
  const Seen first = see(text, begin);
  if (first.kind == CharacterClass::letter) return run_end(text, first.next, CharacterClass::letter);
  if (first.code == '\'') {
    const size_t end = contraction_end(text, begin, true);
    if (end > begin) return end;
  }
  if (first.kind == CharacterClass::number) {
    size_t end = first.next;
    for (int digits = 1; digits < most_digits && end < text.size(); ++digits) {
      const Seen next = see(text, end);
      if (next.kind != CharacterClass::number) break;
      end = next.next;
    }
    return end;
  }
  const bool has_next = first.next < text.size();
  const CharacterClass next = has_next ? see(text, first.next).kind : CharacterClass::space;
  if (next == CharacterClass::letter && !is_newline(first.code)) return run_end(text, first.next, next);
  if (is_symbol(first.kind) || (first.code == ' ' && has_next && is_symbol(next))) {
    size_t end = run_end(text, first.next, CharacterClass::other);
    while (end < text.size() && is_newline(static_cast<unsigned char>(text[end]))) ++end;
    return end;
  }
  return spaces_end(text, begin, true);
}

size_t gpt2_end(std::string_view text, size_t begin) {
  const Seen first = see(text, begin);
  if (first.code == '\'') {
    const size_t end = contraction_end(text, begin, false);
    if (end > begin) return end;
  }
  if (first.kind != CharacterClass::space) return run_end(text, first.next, first.kind);
  if (first.code == ' ' && first.next < text.size()) {
    const Seen next = see(text, first.next);
    if (next.kind != CharacterClass::space) return run_end(text, next.next, next.kind);
  }
  return spaces_end(text, begin, false);
}

size_t smollm_end(Splitter& s) {
  const Seen first = see(s.text, s.at);
  if (first.kind == CharacterClass::number) return first.next;
  for (size_t& end = s.part_end = std::max(s.part_end, s.at); end < s.text.size();) {
    const Seen next = see(s.text, end);
    if (next.kind == CharacterClass::number) break;
    end = next.next;
  }
  return gpt2_end(s.text.substr(0, s.part_end), s.at);
}

bool is_mark(const Seen& seen) {
  return seen.kind == CharacterClass::punctuation ||
         (seen.code < 0x80 && std::string_view("$+<=>^~|").find(static_cast<char>(seen.code)) != kNowhere);
}

size_t marks_end(std::string_view text, size_t at, bool wanted) {
  while (at < text.size()) {
    const Seen seen = see(text, at);
    if (is_mark(seen) != wanted) break;
    at = seen.next;
  }
  return at;
}

bool has_three_digits(std::string_view text, size_t at, size_t end) {
  if (end - at < 3) return false;
  for (size_t i = at; i < at + 3; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
  }
  return true;
}

// [0-9]{3}, or what lies before the next three digits.
size_t digit_group_end(std::string_view text, size_t at, size_t end) {
  if (has_three_digits(text, at, end)) return at + 3;
  do {
    ++at;
  } while (at < end && !has_three_digits(text, at, end));
  return at;
}

size_t plain_end(Splitter& s) {
  if (s.at < s.digits_end) return digit_group_end(s.text, s.at, s.digits_end);
  if (s.at >= s.part_end) {
    const size_t end = marks_end(s.text, s.at, true);
    if (end > s.at) return end;
    s.part_end = marks_end(s.text, s.at, false);
  }
  const std::string_view part = s.text.substr(0, s.part_end);
  const size_t end = gpt2_end(part, s.at);
  const bool has_space = s.text[s.at] == ' ';
  const size_t digits = s.at + has_space;
  if (digits >= end || see(part, digits).kind != CharacterClass::number) return end;
  s.digits_end = end;
  return has_space ? digits : digit_group_end(s.text, s.at, end);
}

size_t word_end(Splitter& s) {
  switch (s.kind) {
    case Pretokenizer::qwen2: return modern_end(s.text, s.at, 1);
    case Pretokenizer::llama_bpe: return modern_end(s.text, s.at, 3);
    case Pretokenizer::gpt2: return gpt2_end(s.text, s.at);
    case Pretokenizer::smollm: return smollm_end(s);
    case Pretokenizer::plain: return plain_end(s);
  }
  return s.text.size();
}

}  // namespace

std::string_view next_word(Splitter& splitter) {
  if (splitter.at >= splitter.text.size()) return {};
  const size_t begin = splitter.at;
  splitter.at = word_end(splitter);
  return splitter.text.substr(begin, splitter.at - begin);
}

}  // namespace dotori
