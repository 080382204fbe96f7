// The GGUF container, read without trust: every count, size, offset, type and string is checked against the file's
// length before it is used or anything is allocated for it. A broken file ends in one Error naming the field.
//
//     "GGUF" | version u32 = 3 | tensors u64 | pairs u64 | pairs: key, type u32, value | tensors: name, dims, type,
//     offset | padding to general.alignment | data
//
// What is kept takes at most the file's size and 32 MiB. Everything here may be read by many threads at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/byte_source.h"
#include "platform/dtype.h"
#include "platform/error.h"

namespace dotori {

constexpr int64_t kMostPairs = 16384;    // of metadata; real files have some hundreds at most
constexpr int64_t kMostTensors = 16384;  // in a file

// GGUF's numbers of value types.
enum class ValueType : uint8_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

// A scalar (count 1), or an array of numbers or strings.
struct Value {
  ValueType type = ValueType::U8;  // an array's elements' type
  bool is_array = false;
  int64_t count = 1;
  std::vector<uint8_t> bytes;  // numbers as they lie in the file, or all strings end to end
  std::vector<uint32_t> ends;  // strings only: where each one ends in `bytes`
};

struct TensorInfo {
  std::string name;
  DType type = DType::F32;
  int dims = 0;
  int64_t shape[4] = {1, 1, 1, 1};  // GGUF's order: shape[0] is the columns
  int64_t offset = 0;               // in the file
  int64_t bytes = 0;
};

struct GgufFile {
  std::string path;  // named in errors
  ByteSource source;
  std::map<std::string, Value, std::less<>> metadata;
  std::vector<TensorInfo> tensors;  // by name
};

// Reads and checks all but the tensors' data. Throws Error.
GgufFile open_gguf(const std::string& path);

// The same from memory, which must outlive the result; `name` is named in errors.
GgufFile parse_gguf(const uint8_t* data, int64_t size, const std::string& name);

// `bytes` bytes of a tensor from its byte `from` on. Throws Error when the file ends earlier than it did when opened.
void read_tensor(const GgufFile& file, const TensorInfo& tensor, int64_t from, int64_t bytes, uint8_t* out);

// Throws Error when the file was changed since it was opened. Call it after the last read_tensor.
void check_unchanged(const GgufFile& file);

// Null when the file has none of that name.
const TensorInfo* find_tensor(const GgufFile& file, std::string_view name);
const Value* find_value(const GgufFile& file, std::string_view key);

// An element of a value: nothing when it is of another kind, does not fit int64_t or lies past the end. Booleans are
// no numbers.
std::optional<int64_t> as_integer(const Value& value, int64_t index = 0);
std::optional<double> as_number(const Value& value, int64_t index = 0);
std::optional<bool> as_boolean(const Value& value);

// String `index` of a string or an array of strings; the caller has checked the type and the count.
inline std::string_view string_at(const Value& value, int64_t index = 0) {
  const uint32_t begin = index ? value.ends[static_cast<size_t>(index - 1)] : 0;
  return {reinterpret_cast<const char*>(value.bytes.data()) + begin, value.ends[static_cast<size_t>(index)] - begin};
}
inline bool is_string(const Value& value) { return value.type == ValueType::String && !value.is_array; }
inline bool is_string_array(const Value& value) { return value.type == ValueType::String && value.is_array; }

// A value in a message: a number, a quoted string or `an array of 3`; `missing` for null.
std::string text_of(const Value* value);

// The error for a broken field.
Error damaged(const std::string& path, const std::string& what, const std::string& got, const std::string& rule);

}  // namespace dotori
