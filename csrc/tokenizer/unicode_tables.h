// Which characters are letters, numbers, spaces and punctuation (Unicode's categories L, N and P, and White_Space).
#pragma once

#include <cstdint>

namespace dotori {

enum class CharacterClass : uint8_t { other, letter, number, space, punctuation };

// Sorted runs that cover all of Unicode: the first character << 3 | the class.
extern const uint32_t kCharacterRuns[];
extern const int kCharacterRunCount;

inline CharacterClass class_of(uint32_t code) {
  if (code - 0xac00u < 11172u) return CharacterClass::letter;  // Hangul syllables: most of a Korean text
  int low = 0, high = kCharacterRunCount;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (kCharacterRuns[middle] >> 3 <= code ? low : high) = middle;
  }
  return static_cast<CharacterClass>(kCharacterRuns[low] & 7);
}

}  // namespace dotori
