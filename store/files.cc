// SPDX-License-Identifier: Apache-2.0
#include "store/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace refrain::store {
namespace {

Error failed(const char* what, const std::string& path) {
  int number = errno;
  std::string detail = std::string(what) + " " + path + ": " + std::strerror(number) + ".";
  if (number == ENOSPC || number == EDQUOT)
    return unavailable("disk_full", detail + " Make room on the disk.");
  return unavailable("store_failed", detail + " Look at the disk and at who may read and write there.");
}

class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0640)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("Cannot write", path);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<void> sync_directory_of(const std::string& path) {
  std::string directory = path.substr(0, path.rfind('/'));
  File file(directory, O_RDONLY | O_DIRECTORY);
  if (file.fd() < 0 || ::fsync(file.fd()) != 0) return failed("Cannot sync", directory);
  return {};
}

Result<void> sync_file(const std::string& path) {
  File file(path, O_RDONLY);
  if (file.fd() < 0 || ::fsync(file.fd()) != 0) return failed("Cannot sync", path);
  return {};
}

Result<void> write_file_durably(const std::string& path, std::string_view bytes) {
  std::string draft = path + ".new";
  {
    File file(draft, O_WRONLY | O_CREAT | O_TRUNC);
    if (file.fd() < 0) return failed("Cannot make", draft);
    if (auto written = write_all(file.fd(), bytes, draft); !written) return written;
    if (::fsync(file.fd()) != 0) return failed("Cannot sync", draft);
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) return failed("Cannot rename", draft);
  return sync_directory_of(path);
}

Result<std::optional<std::string>> read_small_file(const std::string& path) {
  File file(path, O_RDONLY);
  if (file.fd() < 0 && errno == ENOENT) return std::optional<std::string>();
  if (file.fd() < 0) return failed("Cannot open", path);
  std::string bytes(4096, '\0');
  std::size_t size = 0;
  while (size < bytes.size()) {
    ssize_t got = ::read(file.fd(), bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("Cannot read", path);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  bytes.resize(size);
  return std::optional<std::string>(std::move(bytes));
}

Result<void> remove_file_durably(const std::string& path) {
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return failed("Cannot remove", path);
  }
  return sync_directory_of(path);
}

}  // namespace refrain::store
