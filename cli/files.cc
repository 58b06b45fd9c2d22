// SPDX-License-Identifier: Apache-2.0
#include "cli/files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace refrain::cli {

tl::expected<std::string, std::string> read_file(const std::string& path) {
  std::error_code error;
  // A directory opens well; only reading from it fails, and then without a reason.
  if (std::filesystem::is_directory(path, error)) return tl::unexpected<std::string>(std::strerror(EISDIR));
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) return tl::unexpected<std::string>(std::strerror(errno ? errno : EIO));
  return bytes;
}

}  // namespace refrain::cli
