// SPDX-License-Identifier: Apache-2.0
// A store with known content, made by a node on real RocksDB, and what a node says of a damaged copy of it.
//
// Each call belongs in a process of its own: RocksDB may spin, abort or end it.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/types.h"

namespace refrain::crash {

inline constexpr const char* kStoreNode = "eu";
inline constexpr const char* kStoreCluster = "damage";
inline constexpr std::int64_t kOpenTimeoutMs = 2'000;

/// Everything that was acknowledged, and the topics as they then stood in the log.
struct Known {
  std::map<std::string, std::map<std::string, std::string>> families;
  std::map<std::string, std::vector<std::string>> topics;
  std::uint64_t newest = 0;  // own seq
};
void save(const Known& known, const std::string& path);
Known load(const std::string& path);

/// Makes `root`/data, with several tables a family and a live log, and `root`/older, the same directory at an
/// earlier moment; and saves what is in it as `root`/known. With `stopped` it was stopped cleanly, else this
/// call ends the process as kill -9 does.
void make_store(const std::string& root, std::uint64_t seed, bool stopped);

/// How a node took a damaged directory.
struct Taken {
  enum class How : std::uint8_t {
    kWhole,       // opened, and everything is there
    kRefused,     // not opened
    kReadFailed,  // opened; where damaged rows are read, an error
    kLess,        // opened with less, and nobody says so
    kRolledBack,  // opened with less, and the node takes no writes: its own journal is ahead of it
  } how = How::kWhole;
  std::string detail;  // the error, or what is missing
};
const char* name_of(Taken::How how);

/// Opens `directory` as the program does, with the log as it was (or with an empty one), compares every row
/// with what is known, and lets the node read its own journal.
Taken take_store(const std::string& directory, const Known& known, bool with_log);

}  // namespace refrain::crash
