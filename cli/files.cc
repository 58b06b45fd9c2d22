// SPDX-License-Identifier: Apache-2.0
#include "cli/files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <istream>

namespace refrain::cli {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // no call takes as much

}  // namespace

tl::expected<std::string, std::string> read_bounded(std::istream& in) {
  constexpr std::size_t kPiece = 1 << 20;
  std::string bytes;
  while (in) {
    std::size_t had = bytes.size();
    if (had > kMostBytes) return tl::unexpected<std::string>("it is larger than 1 GiB; give it in parts");
    bytes.resize(had + kPiece);
    in.read(bytes.data() + had, static_cast<std::streamsize>(kPiece));
    bytes.resize(had + static_cast<std::size_t>(in.gcount()));
  }
  return bytes;
}

tl::expected<std::string, std::string> read_file(const std::string& path) {
  std::error_code error;
  // A directory opens well; only reading from it fails, and then without a reason.
  if (std::filesystem::is_directory(path, error)) return tl::unexpected<std::string>(std::strerror(EISDIR));
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  auto bytes = read_bounded(in);
  if (!bytes) return tl::unexpected(std::move(bytes.error()));
  if (!in.is_open() || in.bad()) return tl::unexpected<std::string>(std::strerror(errno ? errno : EIO));
  return *bytes;
}

}  // namespace refrain::cli
