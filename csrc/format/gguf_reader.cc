#include "format/gguf_reader.h"

#include <algorithm>
#include <bit>

#include "format/utf8.h"

namespace dotori {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian");

constexpr int64_t kWindow = 256 * 1024;
constexpr uint64_t kMostStringBytes = 0xffffffffu;  // of one array: its ends are 32-bit

void check_utf8(const Reader& reader, std::string_view text, const std::string& what) {
  if (first_invalid_utf8(text) >= 0) throw damaged(reader.path, what, quoted(text), "strings are UTF-8");
}

Error changed(const Reader& reader) {
  return damaged(reader.path, "strings", "differ at a second look", "the file was changed or truncated while open");
}

// Two passes: the first adds the lengths up, so that everything is allocated once and to measure.
void take_strings(Reader& reader, uint64_t count, const std::string& key, Value& value) {
  const int64_t start = reader.at;
  uint64_t total = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const auto length = take<uint64_t>(reader, "length of a string");
    require(reader, length, key);
    reader.at += static_cast<int64_t>(length);
    total += length;
  }
  if (total > kMostStringBytes) {
    throw damaged(reader.path, "length of " + key, std::to_string(total) + " bytes", "at most 4 GiB");
  }
  reader.at = start;
  value.bytes.resize(total);
  value.ends.resize(count);
  uint64_t filled = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const auto length = take<uint64_t>(reader, "length of a string");
    if (length > total - filled) throw changed(reader);
    take_bytes(reader, length, value.bytes.data() + filled, "a string");
    const std::string_view text(reinterpret_cast<const char*>(value.bytes.data()) + filled, length);
    if (first_invalid_utf8(text) >= 0) check_utf8(reader, text, key);
    filled += length;
    value.ends[i] = static_cast<uint32_t>(filled);
  }
  if (filled != total) throw changed(reader);
}

void take_numbers(Reader& reader, uint64_t count, uint32_t type, const std::string& key, Value& value) {
  const auto size = static_cast<uint64_t>(scalar_bytes(type));
  if (count > static_cast<uint64_t>(reader.source.size) / size) {
    throw damaged(reader.path, "length of " + key, std::to_string(count), "the file is too short for it");
  }
  require(reader, count * size, key);
  value.bytes.resize(count * size);
  take_bytes(reader, count * size, value.bytes.data(), "numbers");
  if (value.type != ValueType::Bool) return;
  for (const uint8_t byte : value.bytes) {
    if (byte > 1) throw damaged(reader.path, key, std::to_string(byte), "a boolean is 0 or 1");
  }
}

void take_array(Reader& reader, const std::string& key, Value& value) {
  const auto type = take<uint32_t>(reader, "type of an array");
  const auto count = take<uint64_t>(reader, "length of an array");
  const bool is_strings = type == static_cast<uint32_t>(ValueType::String);
  if (!is_strings && scalar_bytes(type) == 0) {
    throw damaged(reader.path, "type of " + key, std::to_string(type), "arrays hold numbers or strings");
  }
  value.type = static_cast<ValueType>(type);
  value.is_array = true;
  value.count = static_cast<int64_t>(count);
  if (!is_strings) return take_numbers(reader, count, type, key, value);
  if (count > static_cast<uint64_t>(reader.source.size - reader.at) / sizeof(uint64_t)) {
    throw damaged(reader.path, "length of " + key, std::to_string(count), "the file is too short for it");
  }
  take_strings(reader, count, key, value);
}

}  // namespace

Error damaged(const std::string& path, const std::string& what, const std::string& got, const std::string& rule) {
  return Error(path + ": " + what + " " + got + "; " + rule + "; the file is damaged, get it again");
}

Reader::Reader(const ByteSource& from, const std::string& name) : source(from), path(name) {
  if (source.memory) {
    window = source.memory;
    window_end = source.size;
  } else {
    storage.resize(static_cast<size_t>(std::min(kWindow, source.size)));
  }
}

void require(const Reader& reader, uint64_t bytes, const std::string& what) {
  if (bytes <= static_cast<uint64_t>(reader.source.size - reader.at)) return;
  throw damaged(reader.path, what, "of " + std::to_string(bytes) + " bytes at " + std::to_string(reader.at),
                "the file ends at " + std::to_string(reader.source.size));
}

void take_bytes(Reader& reader, uint64_t bytes, uint8_t* out, const char* what) {
  if (bytes > static_cast<uint64_t>(reader.source.size - reader.at)) require(reader, bytes, what);
  const auto count = static_cast<int64_t>(bytes);
  if (reader.at < reader.window_begin || reader.at + count > reader.window_end) {
    if (count > static_cast<int64_t>(reader.storage.size())) {
      if (read_bytes(reader.source, reader.at, count, out) != count) throw changed(reader);
      reader.at += count;
      return;
    }
    const auto longest = static_cast<int64_t>(reader.storage.size());
    reader.window = reader.storage.data();
    reader.window_begin = reader.at;
    reader.window_end = reader.at + read_bytes(reader.source, reader.at, longest, reader.storage.data());
    if (reader.at + count > reader.window_end) throw changed(reader);
  }
  if (count) std::memcpy(out, reader.window + (reader.at - reader.window_begin), static_cast<size_t>(count));
  reader.at += count;
}

std::string take_string(Reader& reader, const char* what) {
  const auto length = take<uint64_t>(reader, what);
  require(reader, length, what);
  std::string text(length, '\0');
  take_bytes(reader, length, reinterpret_cast<uint8_t*>(text.data()), what);
  check_utf8(reader, text, what);
  return text;
}

Value take_value(Reader& reader, const std::string& key) {
  Value value;
  const auto type = take<uint32_t>(reader, "type of a value");
  value.type = static_cast<ValueType>(type);
  if (type == static_cast<uint32_t>(ValueType::Array)) {
    take_array(reader, key, value);
  } else if (type == static_cast<uint32_t>(ValueType::String)) {
    take_strings(reader, 1, key, value);
  } else if (scalar_bytes(type) != 0) {
    take_numbers(reader, 1, type, key, value);
  } else {
    throw damaged(reader.path, "type of " + key, std::to_string(type), "a GGUF type is needed");
  }
  return value;
}

int scalar_bytes(uint32_t type) {
  constexpr int sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type < std::size(sizes) ? sizes[type] : 0;
}

}  // namespace dotori
