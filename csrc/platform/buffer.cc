#include "platform/buffer.h"

#include <sys/mman.h>

#include "platform/error.h"

namespace dotori {

Buffer::Buffer(int64_t size) : bytes(size) {
  if (size == 0) return;
  // A long context's cache is asked for whole and used little by little: no need to have it all free now.
  const int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* place = mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, kind, -1, 0);
  if (place == MAP_FAILED) {
    throw Error("memory: " + std::to_string(size / 1000000) +
                " MB were refused; the system must have them free; close other programs or use a smaller model");
  }
  // Fewer, larger pages: reading weights then misses the translation cache far less. Only a wish.
  madvise(place, static_cast<size_t>(size), MADV_HUGEPAGE);
  data = static_cast<uint8_t*>(place);
}

Buffer::~Buffer() {
  if (data) munmap(data, static_cast<size_t>(bytes));
}

}  // namespace dotori
