// Where a model file's bytes come from: an open file read with pread, or memory. Never mapped: a file that is cut short
// while it is read then gives an Error rather than a signal.
#pragma once

#include <cstdint>
#include <string>

namespace dotori {

// What tells that a file is still the one that was opened.
struct FileIdentity {
  uint64_t device = 0, inode = 0;
  int64_t size = 0, modified_seconds = 0, modified_nanoseconds = 0;

  bool operator==(const FileIdentity&) const = default;
};

struct ByteSource {
  int fd = -1;                      // owned; -1 for memory
  const uint8_t* memory = nullptr;  // not owned; null for a file
  int64_t size = 0;
  FileIdentity identity;

  ByteSource() = default;
  ByteSource(ByteSource&& other) noexcept;
  ByteSource& operator=(ByteSource&& other) noexcept;
  ~ByteSource();
};

// Throws Error unless `path` is a regular file that can be read.
ByteSource open_file(const std::string& path);

// `data` must outlive the source.
ByteSource memory_source(const uint8_t* data, int64_t size);

// Copies up to `bytes` bytes from `offset` on and returns how many there were: fewer at the end or on a disk error.
int64_t read_bytes(const ByteSource& source, int64_t offset, int64_t bytes, uint8_t* out);

// Whether the file has kept its size, time of change and place on disk since it was opened; always true of memory.
bool is_unchanged(const ByteSource& source);

}  // namespace dotori
