// A position in a GGUF file's header and what can be taken from there; for format/*.cc alone.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "format/gguf.h"

namespace dotori {

// Reads through a window of the file (of memory: all of it), so that the header's bytes are never held besides the
// values made of them.
struct Reader {
  Reader(const ByteSource& from, const std::string& name);

  const ByteSource& source;
  const std::string& path;
  int64_t at = 0;                   // in the file
  const uint8_t* window = nullptr;  // file bytes [window_begin, window_end)
  int64_t window_begin = 0, window_end = 0;
  std::vector<uint8_t> storage;
};

// Throws Error unless `bytes` bytes are left from `reader.at` on.
void require(const Reader& reader, uint64_t bytes, const std::string& what);

// Copies the next bytes; throws Error when the file ends before.
void take_bytes(Reader& reader, uint64_t bytes, uint8_t* out, const char* what);

template <typename T>
T take(Reader& reader, const char* what) {
  T result;
  if (reader.at >= reader.window_begin && reader.at + static_cast<int64_t>(sizeof(T)) <= reader.window_end) {
    std::memcpy(&result, reader.window + (reader.at - reader.window_begin), sizeof(T));
    reader.at += sizeof(T);
  } else {
    uint8_t bytes[sizeof(T)];
    take_bytes(reader, sizeof(T), bytes, what);
    std::memcpy(&result, bytes, sizeof(T));
  }
  return result;
}

// A length and so many bytes of UTF-8.
std::string take_string(Reader& reader, const char* what);

// A value type and a value; `key` is named in errors.
Value take_value(Reader& reader, const std::string& key);

// How many bytes a number of this type takes, 0 for strings, arrays and unknown types.
int scalar_bytes(uint32_t type);

}  // namespace dotori
