// Broken GGUF files by the hundred thousand: gguf_fuzz [CASES] [SEED]. Small whole models are mutated (bits,
// truncation, limits in every field, splices) and read as far as they go: header, configuration, tensors, tokenizer,
// encoding. A case may end in an Error, nothing else, and may hold at most its own size and 32 MiB in memory. Build
// it with -fsanitize=address,undefined; with -DDOTORI_LIBFUZZER it is libFuzzer's entry instead.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "format/model_config.h"
#include "format/test_file.h"
#include "tokenizer/tokenizer.h"

namespace {

constexpr int64_t kAllowance = 32 << 20;
constexpr size_t kPrefix = alignof(std::max_align_t);  // holds a block's size

int64_t held_bytes = 0, most_bytes = 0;

void* allocate(size_t bytes) {
  auto* block = static_cast<unsigned char*>(bytes > SIZE_MAX - kPrefix ? nullptr : std::malloc(bytes + kPrefix));
  if (!block) throw std::bad_alloc();
  std::memcpy(block, &bytes, sizeof bytes);
  held_bytes += static_cast<int64_t>(bytes);
  most_bytes = held_bytes > most_bytes ? held_bytes : most_bytes;
  return block + kPrefix;
}

void release(void* pointer) {
  if (!pointer) return;
  auto* block = static_cast<unsigned char*>(pointer) - kPrefix;
  size_t bytes;
  std::memcpy(&bytes, block, sizeof bytes);
  held_bytes -= static_cast<int64_t>(bytes);
  std::free(block);
}

}  // namespace

void* operator new(size_t bytes) { return allocate(bytes); }
void* operator new[](size_t bytes) { return allocate(bytes); }
void operator delete(void* pointer) noexcept { release(pointer); }
void operator delete[](void* pointer) noexcept { release(pointer); }
void operator delete(void* pointer, size_t) noexcept { release(pointer); }
void operator delete[](void* pointer, size_t) noexcept { release(pointer); }

namespace dotori::test {
namespace {

struct Tally {
  int64_t files = 0, configs = 0, models = 0, tokenizers = 0;
};

[[noreturn]] void fail(const char* what, int64_t number) {
  std::fprintf(stderr, "%s %lld\n", what, static_cast<long long>(number));
  std::abort();
}

template <typename Call>
bool succeeds(const Call& call) {
  try {
    call();
    return true;
  } catch (const Error&) {
    return false;
  }
}

void use(const Tokenizer& tokenizer) {
  for (const char* text : {"the hello <tool> <|end|>", "도토리 it's 1234\r\n\t", "\xff", ""}) {
    succeeds([&] {
      for (const int32_t id : encode(tokenizer, text)) {
        token_bytes(tokenizer, id);
        if (type_of(tokenizer.vocabulary, id) == TokenType::control) fail("text became control token", id);
      }
    });
  }
  for (int32_t id = 0; id < token_count(tokenizer.vocabulary); ++id) token_bytes(tokenizer, id);
}

void read_all(const uint8_t* data, int64_t size, Tally& tally) {
  GgufFile file;
  if (!succeeds([&] { file = parse_gguf(data, size, "case"); })) return;
  ++tally.files;
  ModelConfig config;
  if (succeeds([&] { config = read_config(file); })) {
    ++tally.configs;
    tally.models += succeeds([&] { check_tensors(file, config); });
  }
  uint8_t window[64];
  for (const TensorInfo& tensor : file.tensors) {
    const int64_t bytes = tensor.bytes < 64 ? tensor.bytes : 64;
    read_tensor(file, tensor, tensor.bytes - bytes, bytes, window);
  }
  Tokenizer tokenizer;
  if (!succeeds([&] { tokenizer = make_tokenizer(file); })) return;
  ++tally.tokenizers;
  use(tokenizer);
}

// Ends the program on anything but an Error, and on too much memory.
void run_case(const uint8_t* data, int64_t size, Tally& tally) {
  const int64_t before = held_bytes;
  most_bytes = before;
  try {
    read_all(data, size, tally);
  } catch (const std::exception& other) {
    std::fprintf(stderr, "not an Error: %s\n", other.what());
    std::abort();
  }
  const int64_t beyond = most_bytes - before - size;
  if (beyond > kAllowance) fail("bytes held beyond the file's size:", beyond);
}

}  // namespace
}  // namespace dotori::test

#ifdef DOTORI_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dotori::test::Tally tally;
  dotori::test::run_case(data, static_cast<int64_t>(size), tally);
  return 0;
}

#else

namespace dotori::test {
namespace {

struct Seed {
  std::string bytes;
  std::vector<size_t> fields, values;
};

Seed seed_of(const TestFile& file) {
  Seed seed{finish(file), fields_of(file), file.value_fields};
  for (size_t& at : seed.values) at += 24;
  return seed;
}

TestFile small_pieces() {
  TestModel model;
  model.arch = "minicpm";
  TestFile file;
  add_shape(file, model);
  for (const char* key : {"minicpm.embedding_scale", "minicpm.residual_scale", "minicpm.logit_scale"}) {
    add(file, key, 2.0f);
  }
  add_pieces(file, {"▁", "t", "h", "e", "th", "▁the", "▁▁", "도"});
  model.vocab = 267;
  add_tensors(file, model);
  return file;
}

std::vector<Seed> seeds() {
  TestModel qwen2, mixture;
  qwen2.arch = "qwen2";
  qwen2.has_bias = qwen2.has_head = true;
  qwen2.type = DType::F16;
  mixture.arch = "smallthinker";
  mixture.experts = 2;
  mixture.type = DType::Q8_0;
  TestFile with_window = small_model(mixture);
  add(with_window, "smallthinker.attention.sliding_window", uint32_t{4096});
  return {seed_of(small_model()), seed_of(small_model(qwen2)), seed_of(with_window), seed_of(small_pieces())};
}

struct Random {
  uint64_t state;

  uint64_t below(uint64_t end) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return end ? state % end : 0;
  }
};

// Positions lean towards the header: data bytes break nothing.
size_t any_place(Random& random, const Seed& seed, const std::string& bytes) {
  const size_t header = seed.fields.back() + 8;
  return random.below(random.below(16) ? std::min(header, bytes.size()) : bytes.size());
}

void set_limit(Random& random, const std::vector<size_t>& fields, std::string& bytes) {
  constexpr uint64_t limits[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                                 uint64_t{1} << 32, 0x7fffffffffffffff, uint64_t{1} << 63, 0xffffffffffffffff};
  const size_t at = fields[random.below(fields.size())];
  uint64_t value = limits[random.below(std::size(limits))];
  if (random.below(4) == 0) value = random.below(64);
  const size_t width = random.below(4) ? 4 : 8;
  if (at + width <= bytes.size()) std::memcpy(bytes.data() + at, &value, width);
}

void splice(Random& random, const Seed& seed, std::string& bytes) {
  const size_t from = any_place(random, seed, bytes), to = any_place(random, seed, bytes);
  const std::string part = bytes.substr(from, 1 + random.below(64));
  switch (random.below(3)) {
    case 0: bytes.insert(to, part); break;
    case 1: bytes.erase(to, part.size()); break;
    default: bytes.replace(to, std::min(part.size(), bytes.size() - to), part); break;
  }
}

void mutate(Random& random, const Seed& seed, std::string& bytes) {
  for (uint64_t count = 1 + random.below(3); count > 0 && !bytes.empty(); --count) {
    switch (random.below(12)) {
      case 0: bytes.resize(random.below(bytes.size())); break;
      case 1:
      case 2: bytes[any_place(random, seed, bytes)] ^= static_cast<char>(1u << random.below(8)); break;
      case 3: bytes[any_place(random, seed, bytes)] = static_cast<char>(random.below(256)); break;
      case 4: splice(random, seed, bytes); break;
      case 5:
      case 6: set_limit(random, seed.fields, bytes); break;
      default: set_limit(random, seed.values, bytes); break;
    }
  }
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace
}  // namespace dotori::test

int main(int count, char** words) {
  using namespace dotori::test;
  const long long cases = count > 1 ? std::atoll(words[1]) : 20000;
  Random random{(count > 2 ? std::strtoull(words[2], nullptr, 10) : 1) * 0x9e3779b97f4a7c15u | 1};
  const std::vector<Seed> originals = seeds();
  Tally whole, tally;
  for (const Seed& seed : originals) {
    run_case(reinterpret_cast<const uint8_t*>(seed.bytes.data()), static_cast<int64_t>(seed.bytes.size()), whole);
  }
  if (whole.models != 4 || whole.tokenizers != 4) {
    std::fprintf(stderr, "the originals cannot be read\n");
    return 1;
  }
  const double start = seconds();
  for (long long i = 0; i < cases; ++i) {
    const Seed& seed = originals[random.below(originals.size())];
    std::string bytes = seed.bytes;
    mutate(random, seed, bytes);
    // A block of exactly these bytes, so that the sanitizer sees the first one past the end.
    auto* exact = new uint8_t[bytes.size() + (bytes.empty() ? 1 : 0)];
    std::memcpy(exact, bytes.data(), bytes.size());
    run_case(exact, static_cast<int64_t>(bytes.size()), tally);
    delete[] exact;
  }
  std::printf("%lld cases, %.0f/s; whole: %lld files, %lld configurations, %lld models, %lld tokenizers\n", cases,
              static_cast<double>(cases) / (seconds() - start), static_cast<long long>(tally.files),
              static_cast<long long>(tally.configs), static_cast<long long>(tally.models),
              static_cast<long long>(tally.tokenizers));
  return 0;
}

#endif
