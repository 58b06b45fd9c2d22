// SPDX-License-Identifier: Apache-2.0
// The data directory: the FORMAT file that says which programs may open it, the lock that keeps a second
// process out, and the disk's space. The engine's own files are in `db/` below it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "store/store_format.h"

namespace refrain::store {

struct DirectoryInfo {
  std::uint32_t format = kStoreProgram.newest.number;
  std::uint32_t oldest_reader = kStoreProgram.newest.oldest_reader;
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
  /// Opens the directory, making it when it is missing or empty; an older format stays as it is. Refused with
  /// what to do: another node's or cluster's (kInvalid), a format that the program does not open (kCorrupt
  /// newer_format or older_format, with both numbers), locked by a running process (kUnavailable locked), a
  /// directory with other files in it (kInvalid), a backup (kInvalid), one that has lost its store
  /// (kCorrupt), not readable or writable (kUnavailable store_failed).
  static Result<std::unique_ptr<DataDir>> open(const std::string& path, const NodeName& node,
                                               const std::string& cluster,
                                               const StoreProgram& program = kStoreProgram);

  /// Takes a stopped node's directory to the program's newest format, for good: programs before its
  /// oldest_reader refuse it from then on. Gives what it was before; the same again when there was nothing to
  /// do. Refused, and nothing changed, like open(); kNotFound when there is none. Crash: it is the old one or
  /// the new one, and once this came back the new one.
  static Result<DirectoryInfo> upgrade(const std::string& path, const StoreProgram& program = kStoreProgram);

  /// What FORMAT says, without a lock. kNotFound when there is none.
  static Result<DirectoryInfo> inspect(const std::string& path);

  ~DataDir();
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;

  const std::string& path() const { return path_; }
  std::string engine_path() const { return path_ + "/db"; }
  /// What may be written into it.
  StoreFormat format() const { return {info_.format, info_.oldest_reader}; }

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

/// kCorrupt newer_format or older_format, with both numbers, when the program does not open it. `what` begins
/// the sentence: "The data directory /x".
Result<void> check_store_format(const std::string& what, const DirectoryInfo& info,
                                const StoreProgram& program = kStoreProgram);

/// The FORMAT file of a directory that is being made.
Result<void> write_directory_info(const std::string& path, const DirectoryInfo& info);

Result<DiskSpace> disk_space(const std::string& path);

}  // namespace refrain::store
