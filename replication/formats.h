// SPDX-License-Identifier: Apache-2.0
// The numbers of what goes over the wire, to Kafka, from one release to the next: one number for commit
// records and entries of the members log. A record's min_reader is the oldest format whose programs
// understand it.
//
// Members announce what they read. The cluster's format is the largest that every member reads, joiners too
// (MembersTable::format): nobody writes a newer one, and it never falls.
#pragma once
#include <cstdint>

namespace refrain::replication {

struct Formats {
  std::uint32_t min = 1;  // the oldest cluster format that the program can be a member in
  std::uint32_t max = 1;  // the newest that it reads, and writes once all members read it
  bool operator==(const Formats&) const = default;

  /// It reads what such a cluster writes, and writes nothing that the others do not read.
  bool fit(std::uint32_t cluster) const { return min <= cluster && cluster <= max; }
};

/// Of this program. A release that adds to the format raises max; tests run nodes of other numbers.
inline constexpr Formats kFormats{1, 1};

}  // namespace refrain::replication
