// SPDX-License-Identifier: Apache-2.0
// The frame of RocksDB's logs (write-ahead logs and MANIFESTs), read without RocksDB: blocks of 32 KiB, in
// them records of `u32 masked crc32c | u16 length | u8 type | bytes`, a long one in several parts.
//
// What it is for: after a power cut the end of a log may be missing, or be there in size only, as zeros,
// where the file system had made room and not written it yet. RocksDB drops the first and refuses the second,
// as it refuses a flipped bit; and a length that points past the end makes it drop whatever follows. Here the
// three are told apart, so that a power cut alone never stops a start and damage is never taken for a power
// cut.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace refrain::store {

struct LogEnd {
  enum class State : std::uint8_t {
    kWhole,       // ends with a record
    kUnfinished,  // ends in the middle of one: never synced, and RocksDB drops it
    kTorn,        // from some sector on nothing but zeros: never synced, to be cut off at `whole_bytes`
    kDamaged,     // anything else: a record that is there and wrong
  } state = State::kWhole;
  std::uint64_t whole_bytes = 0;  // up to the end of the last whole record
};

/// Pure. The last record, where its own bytes were damaged, cannot be told from one that was torn and holds
/// old bytes instead of zeros: it counts as damage.
LogEnd log_end(std::string_view bytes);

/// What the whole records of a MANIFEST say; nothing when one holds what we do not know. Pure.
struct ManifestFacts {
  std::uint64_t last_sequence = 0;  // of the changes that are in its tables, and in logs that are kept
  std::size_t families = 1;         // the first one is never named
};
std::optional<ManifestFacts> facts_of_manifest(std::string_view manifest);

/// The sequence numbers of the first and the last change in a write-ahead log whose end is whole or
/// unfinished; nothing when no record is in it. Pure.
struct Sequences {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
std::optional<Sequences> sequences_of(std::string_view log);

/// Every write-ahead log in the directory, and the MANIFEST in use: torn ends are cut off, durably. kCorrupt
/// with the file's name, the place and what to do when one is damaged, or when changes are missing
/// between what the MANIFEST knows and the logs, or between two logs, or families that every store has: a
/// MANIFEST that lost its end names too few tables, and RocksDB opens with those. What it cannot see: such a
/// MANIFEST where all logs are empty, for which the node's own journal stands in. Nobody else may have the
/// store open: the lock of the data directory sees to it.
Result<void> mend_logs(const std::string& directory);

}  // namespace refrain::store
