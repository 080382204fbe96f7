// UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dotori {

// The position of the first byte that is not part of a whole character, -1 when all of `text` is UTF-8.
int64_t first_invalid_utf8(std::string_view text);

struct Character {
  uint32_t code;
  int bytes;
};

// The character that begins at `at`, which lies inside text known to be UTF-8 and on a character's first byte.
inline Character character_at(const char* at) {
  const auto byte = [at](int index) { return static_cast<uint32_t>(static_cast<unsigned char>(at[index])); };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xe0) return {(first & 0x1f) << 6 | (byte(1) & 0x3f), 2};
  if (first < 0xf0) return {(first & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f), 3};
  return {(first & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f), 4};
}

void append_utf8(uint32_t code, std::string& out);

// `text` for a message: about 80 bytes, control characters and broken bytes as \xNN; with and without quotation marks.
std::string printable(std::string_view text);
std::string quoted(std::string_view text);

}  // namespace dotori
