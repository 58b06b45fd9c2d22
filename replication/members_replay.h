// SPDX-License-Identifier: Apache-2.0
// The members log as a reader of all of it counts: one pass, record by record.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replication/members_table.h"

namespace refrain::replication {

class MembersReplay {
 public:
  /// `cluster`: ours, when it is known. `reader`: the newest format that the program reads.
  explicit MembersReplay(std::optional<ClusterId> cluster = std::nullopt, std::uint32_t reader = kFormats.max)
      : cluster_(cluster), reads_format_(reader) {}

  /// The next record, and when the log took it. After a halt nothing more is read.
  void add(std::string_view bytes, std::int64_t taken = 0);

  struct Halt {
    enum class Reason : std::uint8_t { kWrongCluster, kNewerFormat };
    Reason reason;
    std::string detail;
  };

  const MembersTable& table() const { return table_; }
  const std::vector<LoggedEntry>& counted() const { return counted_; }
  const std::optional<Halt>& halt() const { return halt_; }
  std::uint64_t records() const { return records_; }                             // counted or not
  const std::string& newest_passed_over() const { return newest_passed_over_; }  // why

 private:
  bool foreign(const std::optional<ClusterId>& cluster) const;
  void unreadable(const UnreadableEntry& error);
  void stop(Halt::Reason reason, std::string detail);

  std::optional<ClusterId> cluster_;
  std::uint32_t reads_format_;
  MembersTable table_;
  std::vector<LoggedEntry> counted_;
  std::optional<Halt> halt_;
  std::uint64_t records_ = 0;
  std::string newest_passed_over_;
};

}  // namespace refrain::replication
