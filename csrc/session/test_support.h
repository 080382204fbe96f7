// What the session's test needs: small models with random weights in temporary files, and a count of allocations.
// Included by one file of a program: it replaces operator new and, where the linker lets it, malloc and mmap.
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "format/test_file.h"
#include "platform/error.h"
#include "platform/half.h"
#include "session/session.h"

namespace dotori::test {

inline std::atomic<int64_t> allocations{0};

inline void* allocate(size_t bytes) {
  ++allocations;
  return std::malloc(bytes ? bytes : 1);
}

inline void* allocate_or_throw(size_t bytes) {
  void* place = allocate(bytes);
  if (!place) throw std::bad_alloc();
  return place;
}

inline void release(void* place) {
  if (!place) return;
  ++allocations;
  std::free(place);
}

struct Random {
  uint64_t state;

  uint64_t bits() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 11;
  }
  float uniform() { return static_cast<float>(bits() % (1 << 24)) * 0x1p-23f - 1.0f; }  // in [-1, 1)
};

// One block (or one number) of `type` whose weights have about the root mean square `size`.
inline void randomize_block(DType type, float size, Random& random, uint8_t* block) {
  const float value = random.uniform() * size * 1.73f;
  if (type == DType::F32) {
    std::memcpy(block, &value, sizeof value);
    return;
  }
  // Random nibbles spread by 4.6, random bytes by 74.
  const uint16_t half = f32_to_f16(type == DType::F16 ? value : size / (type == DType::Q4_0 ? 4.6f : 74.0f));
  std::memcpy(block, &half, sizeof half);
  for (int i = 2; i < block_size(type).bytes; ++i) block[i] = static_cast<uint8_t>(random.bits());
}

// Weights that keep activations near 1; norms near 1.
inline void randomize(std::string& bytes) {
  const GgufFile file = parse(bytes);
  Random random{0x9e3779b97f4a7c15u};
  for (const TensorInfo& tensor : file.tensors) {
    const int step = block_size(tensor.type).bytes;
    const float size = 1.0f / std::sqrt(static_cast<float>(tensor.name == "token_embd.weight" ? 1 : tensor.shape[0]));
    for (int64_t at = 0; at < tensor.bytes; at += step) {
      auto* block = reinterpret_cast<uint8_t*>(bytes.data() + tensor.offset + at);
      randomize_block(tensor.type, size, random, block);
      if (tensor.dims > 1) continue;
      const float gain = 1.0f + random.uniform() / 4;
      std::memcpy(block, &gain, sizeof gain);
    }
  }
}

// A file that is gone with it.
struct TestPath {
  std::string path;

  explicit TestPath(const std::string& bytes)
      : path((std::filesystem::temp_directory_path() / "session_test_XXXXXX").string()) {
    const int file = mkstemp(path.data());
    if (file < 0 || write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      throw Error(path + ": cannot be written; the test needs a temporary folder; set TMPDIR");
    }
    close(file);
  }
  ~TestPath() { unlink(path.c_str()); }
  TestPath(const TestPath&) = delete;
  TestPath& operator=(const TestPath&) = delete;
};

// 262 tokens, two layers. `window`: whether a mixture of experts has its window; then it holds 8192 positions, else
// 2048.
inline std::string random_model(const char* arch, DType type, bool window = false) {
  TestModel model;
  model.arch = arch;
  model.type = type;
  model.hidden = 64;
  model.heads = 4;
  model.kv_heads = 2;
  model.experts = model.arch == "smallthinker" ? 5 : 0;
  const std::string context = model.arch + ".context_length";
  TestFile file = small_model(model, context);
  if (window) {
    add(file, context, uint32_t{8192});
    add(file, model.arch + ".attention.sliding_window", uint32_t{4096});
  }
  std::string bytes = finish(file);
  randomize(bytes);
  return bytes;
}

constexpr int kVocab = 262;

inline std::vector<int32_t> ids_of(int count, int seed = 0) {
  std::vector<int32_t> ids(count);
  for (int i = 0; i < count; ++i) ids[i] = (i * 37 + i * i % 11 + 101 * seed) % kVocab;
  return ids;
}

inline std::unique_ptr<Model> open(const TestPath& file, int threads) { return open_model(file.path, threads, 0, 0); }

inline std::vector<float> logits_after(Session& session, Ids ids) {
  std::vector<float> logits(ids.size() * kVocab);
  append_with_logits(session, ids, logits.data());
  return logits;
}

inline std::vector<int32_t> continue_plainly(Session& session, Ids prompt, int count, const Sampling& sampling) {
  std::vector<int32_t> made;
  for (int32_t id = next(session, prompt, sampling); count > 0; --count) {
    made.push_back(id);
    if (count > 1) id = next(session, {&id, 1}, sampling);
  }
  return made;
}

// Whether `call` throws an Error that says `part`.
template <typename Call>
bool fails(const Call& call, const char* part) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(error.what()).find(part) != std::string::npos;
  }
  return false;
}

}  // namespace dotori::test

void* operator new(size_t bytes) { return dotori::test::allocate_or_throw(bytes); }
void* operator new[](size_t bytes) { return dotori::test::allocate_or_throw(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return dotori::test::allocate(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return dotori::test::allocate(bytes); }
void operator delete(void* place) noexcept { dotori::test::release(place); }
void operator delete[](void* place) noexcept { dotori::test::release(place); }
void operator delete(void* place, size_t) noexcept { dotori::test::release(place); }
void operator delete[](void* place, size_t) noexcept { dotori::test::release(place); }

// Sanitizers bring a malloc of their own, and other C libraries, or a static link, cannot reach past ours.
#if defined(__GLIBC__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define DOTORI_COUNTS_MALLOC 1

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

__attribute__((visibility("default"))) void* malloc(size_t bytes) {
  ++dotori::test::allocations;
  return __libc_malloc(bytes);
}
__attribute__((visibility("default"))) void* calloc(size_t count, size_t bytes) {
  ++dotori::test::allocations;
  return __libc_calloc(count, bytes);
}
__attribute__((visibility("default"))) void* realloc(void* place, size_t bytes) {
  ++dotori::test::allocations;
  return __libc_realloc(place, bytes);
}
__attribute__((visibility("default"))) void* aligned_alloc(size_t alignment, size_t bytes) {
  ++dotori::test::allocations;
  return __libc_memalign(alignment, bytes);
}
__attribute__((visibility("default"))) void* mmap(void* at, size_t bytes, int protection, int kind, int file,
                                                  off_t from) noexcept {
  ++dotori::test::allocations;
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, bytes, protection, kind, file, from));
}
}

#else
#define DOTORI_COUNTS_MALLOC 0
#endif
