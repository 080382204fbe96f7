#include "format/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "platform/error.h"

namespace dotori {
namespace {

FileIdentity identity_of(const struct stat& status) {
#ifdef __APPLE__
  const timespec modified = status.st_mtimespec;
#else
  const timespec modified = status.st_mtim;
#endif
  return {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino),
          static_cast<int64_t>(status.st_size), static_cast<int64_t>(modified.tv_sec),
          static_cast<int64_t>(modified.tv_nsec)};
}

}  // namespace

ByteSource::ByteSource(ByteSource&& other) noexcept { *this = std::move(other); }

ByteSource& ByteSource::operator=(ByteSource&& other) noexcept {
  std::swap(fd, other.fd);
  std::swap(memory, other.memory);
  std::swap(size, other.size);
  std::swap(identity, other.identity);
  return *this;
}

ByteSource::~ByteSource() {
  if (fd >= 0) close(fd);
}

ByteSource open_file(const std::string& path) {
  const auto unreadable = [&path](const char* why) {
    return Error(path + ": cannot be read (" + why + "); a GGUF file is needed; check the path");
  };
  ByteSource source;
  // Without O_NONBLOCK a named pipe would wait here for a writer.
  source.fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (source.fd < 0) throw unreadable(std::strerror(errno));
  struct stat status;
  if (fstat(source.fd, &status) != 0) throw unreadable(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) throw unreadable("no regular file");
  source.size = static_cast<int64_t>(status.st_size);
  source.identity = identity_of(status);
  return source;
}

ByteSource memory_source(const uint8_t* data, int64_t size) {
  static const uint8_t nothing = 0;
  ByteSource source;
  source.memory = data ? data : &nothing;
  source.size = data ? size : 0;
  return source;
}

int64_t read_bytes(const ByteSource& source, int64_t offset, int64_t bytes, uint8_t* out) {
  if (offset < 0 || offset >= source.size || bytes <= 0) return 0;
  bytes = std::min(bytes, source.size - offset);
  if (source.memory) {
    std::memcpy(out, source.memory + offset, static_cast<size_t>(bytes));
    return bytes;
  }
  constexpr int64_t kLongestCall = int64_t{1} << 30;  // some systems refuse reads of 2 GiB and more
  int64_t done = 0;
  while (done < bytes) {
    const auto wanted = static_cast<size_t>(std::min(bytes - done, kLongestCall));
    const ssize_t got = pread(source.fd, out + done, wanted, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += got;
  }
  return done;
}

bool is_unchanged(const ByteSource& source) {
  if (source.memory) return true;
  struct stat status;
  return fstat(source.fd, &status) == 0 && identity_of(status) == source.identity;
}

}  // namespace dotori
