#include "format/utf8.h"

#include <cstring>

namespace dotori {
namespace {

constexpr size_t kPrintedBytes = 80;

// Bytes of the character at the start of `text`, 0 when there is none.
int whole_character(const unsigned char* text, size_t left) {
  const auto continues = [&](size_t index, unsigned low = 0x80, unsigned high = 0xbf) {
    return index < left && text[index] >= low && text[index] <= high;
  };
  const unsigned first = text[0];
  if (first < 0x80) return 1;
  if (first < 0xc2) return 0;
  if (first < 0xe0) return continues(1) ? 2 : 0;
  if (first < 0xf0) {
    const unsigned low = first == 0xe0 ? 0xa0 : 0x80, high = first == 0xed ? 0x9f : 0xbf;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (first > 0xf4) return 0;
  const unsigned low = first == 0xf0 ? 0x90 : 0x80, high = first == 0xf4 ? 0x8f : 0xbf;
  return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
}

}  // namespace

int64_t first_invalid_utf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  size_t at = 0;
  while (at < text.size()) {
    uint64_t eight;
    if (at + sizeof eight <= text.size()) {
      std::memcpy(&eight, bytes + at, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    const int length = whole_character(bytes + at, text.size() - at);
    if (length == 0) return static_cast<int64_t>(at);
    at += static_cast<size_t>(length);
  }
  return -1;
}

void append_utf8(uint32_t code, std::string& out) {
  const auto add = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      add(0xe0 | code >> 12);
    } else {
      add(0xf0 | code >> 18);
      add(0x80 | (code >> 12 & 0x3f));
    }
    add(0x80 | (code >> 6 & 0x3f));
  }
  add(0x80 | (code & 0x3f));
}

std::string printable(std::string_view text) {
  std::string out;
  size_t at = 0;
  while (at < text.size() && at < kPrintedBytes) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data()) + at;
    const int length = whole_character(bytes, text.size() - at);
    if (length > 1 || (length == 1 && bytes[0] >= 0x20 && bytes[0] != 0x7f)) {
      out.append(text.substr(at, static_cast<size_t>(length)));
      at += static_cast<size_t>(length);
    } else {
      constexpr char digits[] = "0123456789abcdef";
      out.append({'\\', 'x', digits[bytes[0] >> 4], digits[bytes[0] & 15]});
      ++at;
    }
  }
  if (at < text.size()) out += "...";
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "'";
  out += printable(text);
  out += "'";
  return out;
}

}  // namespace dotori
