// SPDX-License-Identifier: Apache-2.0
// The data directory: the FORMAT file that says which programs may open it, the lock that keeps a second
// process out, and the disk's space. The engine's own files are in `db/` below it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/types.h"

namespace refrain::store {

inline constexpr std::uint32_t kStoreFormat = 1;  // what this program writes
inline constexpr std::uint32_t kStoreOldestReader =
    1;  // oldest store version whose program reads what it writes

struct DirectoryInfo {
  std::uint32_t format = kStoreFormat;
  std::uint32_t oldest_reader = kStoreOldestReader;
  std::string node;     // whose it is
  std::string cluster;  // name of the cluster
  bool born = false;    // its store was made: without db/ it has lost it
};

struct DiskSpace {
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
};

/// Holds the directory's lock until destroyed. Crash: the lock goes with the process.
class DataDir {
 public:
  /// Opens the directory, making it when it is missing or empty. Refused with what to do: another node's or
  /// cluster's (kInvalid), a newer format (kCorrupt newer_format, with both numbers), locked by a running
  /// process (kUnavailable locked), a directory with other files in it (kInvalid), a backup (kInvalid), one
  /// that has lost its store (kCorrupt), not readable or writable (kUnavailable store_failed).
  static Result<std::unique_ptr<DataDir>> open(const std::string& path, const NodeName& node,
                                               const std::string& cluster);

  /// What FORMAT says, without a lock. kNotFound when there is none.
  static Result<DirectoryInfo> inspect(const std::string& path);

  ~DataDir();
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;

  const std::string& path() const { return path_; }
  std::string engine_path() const { return path_ + "/db"; }

  /// Its store is there, with its identity: from now on the directory is refused without it. Once the engine
  /// is open.
  Result<void> note_birth();
  Result<DiskSpace> space() const;

 private:
  DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_;
  DirectoryInfo info_;
};

/// The FORMAT file of a directory that is being made.
Result<void> write_directory_info(const std::string& path, const DirectoryInfo& info);

Result<DiskSpace> disk_space(const std::string& path);

}  // namespace refrain::store
