#include "format/gguf.h"

#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "format/test_file.h"
#include "tests/check.h"

namespace dotori::test {
namespace {

// The message of the Error that reading these bytes ends in; empty when there is none.
std::string error_of(const std::string& bytes) {
  try {
    parse(bytes);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

void expect_error(const std::string& bytes, const std::string& part) {
  const std::string message = error_of(bytes);
  CHECK(message.find(part) != std::string::npos, "wanted '%s', got '%s'", part.c_str(), message.c_str());
}

void expect_error(const TestFile& file, const std::string& part) { expect_error(finish(file), part); }

void test_values() {
  TestFile file = small_model();
  add(file, "a.number", uint32_t{7});
  add(file, "a.flag", true);
  add(file, "a.list", std::vector<int32_t>{1, -2, 3});
  add(file, "a.large", uint64_t{0xffffffffffffffff});
  add(file, "a.nothing", std::vector<std::string>{});
  const std::string bytes = finish(file);
  const GgufFile parsed = parse(bytes);
  const auto value = [&parsed](const char* key) { return *find_value(parsed, key); };
  CHECK(as_integer(value("a.number")) == 7, "number");
  CHECK(as_boolean(value("a.flag")) == true && !as_integer(value("a.flag")), "flag");
  CHECK(as_integer(value("a.list"), 1) == -2 && !as_integer(value("a.list"), 3), "list");
  CHECK(!as_integer(value("a.large")) && as_number(value("a.large")) > 1e19, "large");
  CHECK(value("a.nothing").count == 0, "an empty array");
  CHECK(string_at(value("general.architecture")) == "llama", "string");
  CHECK(string_at(value("tokenizer.ggml.tokens"), 257) == "the", "strings");
  CHECK(!find_value(parsed, "a.number ") && !find_value(parsed, ""), "missing keys");
}

void test_tensors() {
  const TestFile file = small_model();
  const std::string bytes = finish(file);
  const GgufFile parsed = parse(bytes);
  CHECK(parsed.tensors.size() == file.tensor_count, "tensors");
  const TensorInfo* tensor = find_tensor(parsed, "blk.1.ffn_up.weight");
  CHECK(tensor && tensor->dims == 2 && tensor->shape[0] == 32 && tensor->shape[1] == 64, "shape");
  CHECK(tensor && tensor->type == DType::Q4_0 && tensor->bytes == 64 * 18 && tensor->offset % 32 == 0, "place");
  CHECK(!find_tensor(parsed, "blk.2.ffn_up.weight"), "missing tensors");
  uint8_t read[8];
  read_tensor(parsed, *tensor, tensor->bytes - 8, 8, read);
  CHECK(std::memcmp(read, bytes.data() + tensor->offset + tensor->bytes - 8, 8) == 0, "data");
  bool has_thrown = false;
  try {
    read_tensor(parsed, *tensor, tensor->bytes - 7, 8, read);
  } catch (const Error&) {
    has_thrown = true;
  }
  CHECK(has_thrown, "reading past a tensor's end");
}

void test_truncations() {
  const std::string bytes = finish(small_model());
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK(!error_of(bytes.substr(0, size)).empty(), "%zu of %zu bytes were read", size, bytes.size());
  }
}

// Every number of the file takes every limit: an Error or a valid file, never anything else.
void test_limits() {
  const TestFile file = small_model();
  const std::string bytes = finish(file);
  constexpr uint64_t limits[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xffffffff, uint64_t{1} << 32,
                                 0x7fffffffffffffff, uint64_t{1} << 63, 0xffffffffffffffff};
  int refused = 0;
  for (const size_t at : fields_of(file)) {
    for (const uint64_t limit : limits) {
      for (const size_t width : {size_t{4}, size_t{8}}) {
        std::string changed = bytes;
        std::memcpy(changed.data() + at, &limit, width);
        refused += !error_of(changed).empty();
      }
    }
  }
  CHECK(refused > 1000, "only %d were refused", refused);
}

TestFile with_tensor(const std::string& name, const std::vector<uint64_t>& shape, DType type = DType::F32) {
  TestFile file;
  add_tensor(file, name, shape, type);
  return file;
}

void test_header_errors() {
  std::string bytes = finish(small_model());
  bytes[0] = 'g';
  expect_error(bytes, "a GGUF file begins with GGUF");
  bytes[0] = 'G';
  bytes[4] = 2;
  expect_error(bytes, "version 2; 3 is supported");
  TestFile file = small_model();
  file.pair_count = 1000000;
  expect_error(file, "the file is too short for them");
  file = TestFile{};
  for (int i = 0; i <= kMostPairs; ++i) add(file, std::to_string(i), true);
  expect_error(file, "at most 16384");
  file = small_model();
  add(file, "general.architecture", "llama");
  expect_error(file, "key 'general.architecture'; each may stand once");
  file = TestFile{};
  add(file, "k\xff", true);
  expect_error(file, "strings are UTF-8");
  file = TestFile{};
  add(file, "k", std::vector<std::string>{"fine", "\xed\xa0\x80"});
  expect_error(file, "k '\\xed\\xa0\\x80'; strings are UTF-8");
}

void test_value_errors() {
  TestFile file;
  add_key(file, "k", static_cast<ValueType>(13));
  expect_error(finish(file) + std::string(16, '\0'), "type of k 13; a GGUF type is needed");
  file = TestFile{};
  add_key(file, "k", ValueType::Array);
  put(file.pairs, static_cast<uint32_t>(ValueType::Array));
  put(file.pairs, uint64_t{1});
  expect_error(finish(file) + std::string(16, '\0'), "arrays hold numbers or strings");
  for (const uint64_t count : {uint64_t{5}, uint64_t{1} << 61, ~uint64_t{0}}) {
    for (const ValueType type : {ValueType::U64, ValueType::String}) {
      file = TestFile{};
      add_key(file, "k", ValueType::Array);
      put(file.pairs, static_cast<uint32_t>(type));
      put(file.pairs, count);
      CHECK(!error_of(finish(file) + std::string(16, '\0')).empty(), "a long array was read");
    }
  }
  file = TestFile{};
  add_key(file, "k", ValueType::Bool);
  file.pairs.push_back(2);
  expect_error(file, "a boolean is 0 or 1");
  for (const uint32_t alignment : {0u, 3u, 48u, 1u << 21}) {
    file = TestFile{};
    add(file, "general.alignment", alignment);
    expect_error(file, "a power of two is needed");
  }
}

void test_tensor_errors() {
  expect_error(with_tensor("t", {}), "dimensions of t 0; 1 to 4");
  expect_error(with_tensor("t", {1, 1, 1, 1, 1}), "dimensions of t 5; 1 to 4");
  expect_error(with_tensor("t", {4, 0}), "shape of t (0, 4); it must fit the file");
  expect_error(with_tensor("t", {48, 2}, DType::Q4_0), "rows of Q4_0 are multiples of 32");
  expect_error(with_tensor("t\n", {31}, DType::Q8_0), "shape of t\\x0a (31,)");
  std::string bytes = finish(with_tensor("t", {32}));
  const size_t type_at = 24 + 8 + 1 + 4 + 8, shape_at = type_at - 8, offset_at = type_at + 4;
  bytes[type_at] = 3;
  expect_error(bytes, "type of t 3; F32, F16");
  bytes[type_at] = 0;
  for (const uint64_t columns : {uint64_t{33}, uint64_t{1} << 32, uint64_t{1} << 62, ~uint64_t{0}}) {
    std::memcpy(bytes.data() + shape_at, &columns, 8);
    CHECK(!error_of(bytes).empty(), "%llu columns were read", static_cast<unsigned long long>(columns));
  }
  bytes = finish(with_tensor("t", {32}));
  for (const uint64_t offset : {uint64_t{8}, uint64_t{32}, uint64_t{1} << 62, uint64_t{1} << 63, ~uint64_t{31}}) {
    std::memcpy(bytes.data() + offset_at, &offset, 8);
    CHECK(!error_of(bytes).empty(), "offset %llu was read", static_cast<unsigned long long>(offset));
  }
  TestFile file = with_tensor("one", {32});
  add_tensor(file, "one", {32});
  expect_error(file, "tensor 'one'; each may stand once");
  file = with_tensor("one", {32});
  file.data_bytes = 32;
  add_tensor(file, "two", {32});
  expect_error(file, "tensors one and two; they overlap");
}

struct TemporaryFile {
  char path[32] = "/tmp/dotori_gguf_XXXXXX";
  int fd = mkstemp(path);

  ~TemporaryFile() {
    close(fd);
    unlink(path);
  }
};

bool throws(const std::function<void()>& call, const char* part) {
  try {
    call();
    return false;
  } catch (const Error& error) {
    return std::string(error.what()).find(part) != std::string::npos;
  }
}

void test_files_on_disk() {
  TemporaryFile temporary;
  TestFile small = small_model();
  add(small, "long", std::vector<std::string>(50000, "a string of some length"));
  const std::string bytes = finish(small);
  CHECK(write(temporary.fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "write");
  GgufFile opened = open_gguf(temporary.path);
  GgufFile file = std::move(opened);
  CHECK(file.metadata.at("long").count == 50000 && file.tensors.size() == small.tensor_count, "read from a file");
  check_unchanged(file);
  const TensorInfo tensor = *find_tensor(file, "blk.1.ffn_down.weight");
  std::vector<uint8_t> data(static_cast<size_t>(tensor.bytes));
  read_tensor(file, tensor, 0, tensor.bytes, data.data());
  CHECK(std::memcmp(data.data(), bytes.data() + tensor.offset, data.size()) == 0, "data");
  CHECK(ftruncate(temporary.fd, 1000) == 0, "ftruncate");
  CHECK(throws([&] { read_tensor(file, tensor, 0, tensor.bytes, data.data()); }, "truncated while open"), "a cut file");
  CHECK(throws([&] { check_unchanged(file); }, "truncated while open"), "a changed file");
  CHECK(throws([] { open_gguf("/tmp"); }, "no regular file"), "a folder");
  CHECK(throws([] { open_gguf("/nowhere/model.gguf"); }, "cannot be read"), "no file");
}

}  // namespace
}  // namespace dotori::test

int main() {
  using namespace dotori::test;
  test_values();
  test_tensors();
  test_truncations();
  test_limits();
  test_header_errors();
  test_value_errors();
  test_tensor_errors();
  test_files_on_disk();
  return report("gguf");
}
