#include "format/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "format/gguf_reader.h"
#include "format/utf8.h"

namespace dotori {
namespace {

constexpr int64_t kShortestPair = 13, kShortestTensor = 32;  // bytes in the file
constexpr int64_t kLargestAlignment = int64_t{1} << 20;
constexpr int kMostDimensions = 4;
constexpr uint64_t kFarthest = std::numeric_limits<int64_t>::max();

bool is_supported(uint32_t type) { return type <= 255 && block_size(static_cast<DType>(type)).weights != 0; }

// Rows first, as Python writes shapes.
std::string tuple_of(const uint64_t* shape, int dims) {
  std::string text;
  for (int d = dims - 1; d >= 0; --d) {
    text += text.empty() ? "(" : ", ";
    text += std::to_string(shape[d]);
  }
  return text + (dims == 1 ? ",)" : ")");
}

// Bytes of a tensor; throws Error unless they could lie in the file.
int64_t length_of(const Reader& reader, const TensorInfo& tensor, uint32_t type, const uint64_t* shape) {
  const std::string& path = reader.path;
  const std::string name = printable(tensor.name);
  if (!is_supported(type)) {
    throw damaged(path, "type of " + name, std::to_string(type),
                  "F32, F16, Q4_0, Q8_0, Q4_K, Q6_K, BF16 are supported");
  }
  // The densest supported type takes more than half a byte a weight.
  const auto most = static_cast<uint64_t>(reader.source.size) * 2;
  uint64_t weights = 1;
  bool fits = true;
  for (int d = 0; d < tensor.dims; ++d) {
    fits = fits && shape[d] != 0 && shape[d] <= most / weights;
    if (fits) weights *= shape[d];
  }
  if (!fits) throw damaged(path, "shape of " + name, tuple_of(shape, tensor.dims), "it must fit the file");
  const BlockSize block = block_size(tensor.type);
  if (shape[0] % static_cast<uint64_t>(block.weights) != 0) {
    const std::string multiples = " are multiples of " + std::to_string(block.weights);
    throw damaged(path, "shape of " + name, tuple_of(shape, tensor.dims),
                  std::string("rows of ") + name_of(tensor.type) + multiples);
  }
  return static_cast<int64_t>(weights / static_cast<uint64_t>(block.weights)) * block.bytes;
}

TensorInfo read_info(Reader& reader) {
  TensorInfo tensor;
  tensor.name = take_string(reader, "tensor name");
  const std::string name = printable(tensor.name);
  const auto dims = take<uint32_t>(reader, "tensor dimensions");
  if (dims < 1 || dims > kMostDimensions) {
    throw damaged(reader.path, "dimensions of " + name, std::to_string(dims), "1 to 4");
  }
  tensor.dims = static_cast<int>(dims);
  uint64_t shape[kMostDimensions] = {1, 1, 1, 1};
  for (int d = 0; d < tensor.dims; ++d) shape[d] = take<uint64_t>(reader, "shape of a tensor");
  const auto type = take<uint32_t>(reader, "type of a tensor");
  if (is_supported(type)) tensor.type = static_cast<DType>(type);
  const auto offset = take<uint64_t>(reader, "offset of a tensor");
  tensor.bytes = length_of(reader, tensor, type, shape);
  for (int d = 0; d < kMostDimensions; ++d) tensor.shape[d] = static_cast<int64_t>(shape[d]);
  if (offset > kFarthest / 2) {
    throw damaged(reader.path, "offset of " + name, std::to_string(offset), "it must lie inside the file");
  }
  tensor.offset = static_cast<int64_t>(offset);
  return tensor;
}

int64_t alignment_of(const GgufFile& file) {
  const Value* value = find_value(file, "general.alignment");
  if (!value) return 32;
  const int64_t alignment = value->is_array ? 0 : as_integer(*value).value_or(0);
  if (alignment < 1 || alignment > kLargestAlignment || (alignment & (alignment - 1)) != 0) {
    throw damaged(file.path, "general.alignment", text_of(value), "a power of two is needed");
  }
  return alignment;
}

// Turns offsets into places in the file, all inside it, aligned and apart.
void place(GgufFile& file, int64_t end_of_infos) {
  const int64_t alignment = alignment_of(file), size = file.source.size;
  const int64_t base = (end_of_infos + alignment - 1) / alignment * alignment;
  for (TensorInfo& tensor : file.tensors) {
    const int64_t start = base + tensor.offset;
    if (tensor.offset % alignment || start > size || tensor.bytes > size - start) {
      throw damaged(file.path, "offset of " + printable(tensor.name), std::to_string(tensor.offset),
                    std::to_string(tensor.bytes) + " bytes must lie aligned inside the file");
    }
    tensor.offset = start;
  }
  const auto earlier = [](const TensorInfo& a, const TensorInfo& b) { return a.offset < b.offset; };
  std::sort(file.tensors.begin(), file.tensors.end(), earlier);
  for (size_t i = 1; i < file.tensors.size(); ++i) {
    const TensorInfo &one = file.tensors[i - 1], &other = file.tensors[i];
    if (one.offset + one.bytes > other.offset) {
      throw damaged(file.path, "tensors " + printable(one.name) + " and", printable(other.name), "they overlap");
    }
  }
  const auto by_name = [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; };
  std::sort(file.tensors.begin(), file.tensors.end(), by_name);
  for (size_t i = 1; i < file.tensors.size(); ++i) {
    if (file.tensors[i - 1].name == file.tensors[i].name) {
      throw damaged(file.path, "tensor", quoted(file.tensors[i].name), "each may stand once");
    }
  }
}

void read_pairs(Reader& reader, GgufFile& file, uint64_t pairs) {
  for (uint64_t i = 0; i < pairs; ++i) {
    const auto [at, is_new] = file.metadata.try_emplace(take_string(reader, "key"));
    if (!is_new) throw damaged(file.path, "key", quoted(at->first), "each may stand once");
    at->second = take_value(reader, printable(at->first));
  }
}

void read_header(GgufFile& file) {
  Reader reader(file.source, file.path);
  uint8_t magic[4] = {};
  read_bytes(file.source, 0, 4, magic);
  if (std::memcmp(magic, "GGUF", 4) != 0) {
    const std::string_view found(reinterpret_cast<const char*>(magic), 4);
    throw damaged(file.path, "first bytes", quoted(found), "a GGUF file begins with GGUF");
  }
  reader.at = 4;
  const auto version = take<uint32_t>(reader, "version");
  if (version != 3) throw damaged(file.path, "version", std::to_string(version), "3 is supported");
  const auto tensors = take<uint64_t>(reader, "tensor count"), pairs = take<uint64_t>(reader, "pair count");
  const auto size = static_cast<uint64_t>(file.source.size);
  const uint64_t both[] = {pairs, tensors};
  const std::string counts = tuple_of(both, 2);
  if (tensors > size / kShortestTensor || pairs > size / kShortestPair ||
      tensors * kShortestTensor + pairs * kShortestPair > size) {
    throw damaged(file.path, "counts", counts, "the file is too short for them");
  }
  if (tensors > kMostTensors || pairs > kMostPairs) {
    throw damaged(file.path, "counts", counts, "at most 16384 of each are read");
  }
  read_pairs(reader, file, pairs);
  file.tensors.reserve(tensors);
  for (uint64_t i = 0; i < tensors; ++i) file.tensors.push_back(read_info(reader));
  place(file, reader.at);
}

template <typename T>
T element(const Value& value, int64_t index) {
  T result;
  std::memcpy(&result, value.bytes.data() + static_cast<size_t>(index) * sizeof(T), sizeof(T));
  return result;
}

}  // namespace

GgufFile open_gguf(const std::string& path) {
  GgufFile file;
  file.path = path;
  file.source = open_file(path);
  read_header(file);
  return file;
}

GgufFile parse_gguf(const uint8_t* data, int64_t size, const std::string& name) {
  GgufFile file;
  file.path = name;
  file.source = memory_source(data, size);
  read_header(file);
  return file;
}

void read_tensor(const GgufFile& file, const TensorInfo& tensor, int64_t from, int64_t bytes, uint8_t* out) {
  if (from < 0 || bytes < 0 || from > tensor.bytes || bytes > tensor.bytes - from) {
    throw Error(file.path + ": " + quoted(tensor.name) + ": bytes " + std::to_string(from) + " to " +
                std::to_string(from + bytes) + "; the tensor has " + std::to_string(tensor.bytes) + "; report this");
  }
  if (read_bytes(file.source, tensor.offset + from, bytes, out) != bytes) {
    throw damaged(file.path, quoted(tensor.name), "could not be read", "the file was changed or truncated while open");
  }
}

void check_unchanged(const GgufFile& file) {
  if (is_unchanged(file.source)) return;
  throw Error(file.path + ": changed or truncated while open; it must stay as it is while it is read; open it again");
}

const TensorInfo* find_tensor(const GgufFile& file, std::string_view name) {
  const auto before = [](const TensorInfo& tensor, std::string_view wanted) { return tensor.name < wanted; };
  const auto at = std::lower_bound(file.tensors.begin(), file.tensors.end(), name, before);
  return at != file.tensors.end() && at->name == name ? &*at : nullptr;
}

const Value* find_value(const GgufFile& file, std::string_view key) {
  const auto at = file.metadata.find(key);
  return at == file.metadata.end() ? nullptr : &at->second;
}

std::optional<int64_t> as_integer(const Value& value, int64_t index) {
  if (index < 0 || index >= value.count) return {};
  switch (value.type) {
    case ValueType::U8: return element<uint8_t>(value, index);
    case ValueType::I8: return element<int8_t>(value, index);
    case ValueType::U16: return element<uint16_t>(value, index);
    case ValueType::I16: return element<int16_t>(value, index);
    case ValueType::U32: return element<uint32_t>(value, index);
    case ValueType::I32: return element<int32_t>(value, index);
    case ValueType::I64: return element<int64_t>(value, index);
    case ValueType::U64: {
      const auto number = element<uint64_t>(value, index);
      return number <= kFarthest ? std::optional<int64_t>(static_cast<int64_t>(number)) : std::nullopt;
    }
    default: return {};
  }
}

std::optional<double> as_number(const Value& value, int64_t index) {
  if (index < 0 || index >= value.count) return {};
  if (value.type == ValueType::F32) return element<float>(value, index);
  if (value.type == ValueType::F64) return element<double>(value, index);
  if (value.type == ValueType::U64) return static_cast<double>(element<uint64_t>(value, index));
  const std::optional<int64_t> whole = as_integer(value, index);
  return whole ? std::optional<double>(static_cast<double>(*whole)) : std::nullopt;
}

std::optional<bool> as_boolean(const Value& value) {
  if (value.type != ValueType::Bool || value.is_array) return {};
  return value.bytes[0] != 0;
}

std::string text_of(const Value* value) {
  if (!value) return "missing";
  if (value->is_array) return "an array of " + std::to_string(value->count);
  if (value->type == ValueType::String) return quoted(string_at(*value));
  if (value->type == ValueType::Bool) return value->bytes[0] ? "true" : "false";
  if (const auto whole = as_integer(*value)) return std::to_string(*whole);
  return std::to_string(as_number(*value).value_or(0));
}

}  // namespace dotori
