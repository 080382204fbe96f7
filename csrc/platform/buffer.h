// Memory that the core owns: page-aligned, zero when fresh, taken from the system only as pages are touched.
#pragma once

#include <cstdint>
#include <utility>

namespace dotori {

struct Buffer {
  uint8_t* data = nullptr;
  int64_t bytes = 0;

  Buffer() = default;
  // Throws Error when the system refuses.
  explicit Buffer(int64_t bytes);
  Buffer(Buffer&& other) noexcept : data(std::exchange(other.data, nullptr)), bytes(std::exchange(other.bytes, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data, other.data);
    std::swap(bytes, other.bytes);
    return *this;
  }
  ~Buffer();
};

constexpr int64_t kAlignment = 64;  // a cache line, and the widest vector
constexpr int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Deals aligned pieces out of one buffer: first every take() with data null, to learn the size, then again for real.
struct Arena {
  uint8_t* data = nullptr;
  int64_t used = 0;

  template <typename T>
  T* take(int64_t count) {
    T* piece = data ? reinterpret_cast<T*>(data + used) : nullptr;
    used += aligned(count * static_cast<int64_t>(sizeof(T)));
    return piece;
  }
};

}  // namespace dotori
