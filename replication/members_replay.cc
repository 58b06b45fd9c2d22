// SPDX-License-Identifier: Apache-2.0
#include "replication/members_replay.h"

#include <fmt/format.h>

#include <utility>

namespace refrain::replication {

bool MembersReplay::foreign(const std::optional<ClusterId>& cluster) const {
  if (!cluster) return false;
  if (cluster_) return *cluster != *cluster_;
  return !table_.empty() && *cluster != table_.cluster();
}

void MembersReplay::stop(Halt::Reason reason, std::string detail) {
  halt_ = Halt{reason, std::move(detail)};
}

void MembersReplay::add(std::string_view bytes, std::int64_t taken) {
  if (halt_) return;
  ++records_;
  auto entry = decode_entry(bytes, reads_format_);
  if (!entry) return unreadable(entry.error());
  if (foreign(entry->entry.cluster)) {
    // Of two founders at once the second one's entry stays in the log for ever, and means nothing.
    bool lost_founder = entry->entry.kind == EntryKind::kFound && !table_.empty();
    if (!lost_founder)
      return stop(Halt::Reason::kWrongCluster,
                  fmt::format("the members log has an entry of cluster {:08x}", entry->entry.cluster.value));
  }
  auto next = count(table_, *entry);
  if (!next) {
    newest_passed_over_ = std::move(next.error());
    return;
  }
  table_ = std::move(*next);
  entry->taken = taken;
  counted_.push_back(std::move(*entry));
}

void MembersReplay::unreadable(const UnreadableEntry& error) {
  if (error.reason == UnreadableEntry::Reason::kGarbage) {
    newest_passed_over_ = error.detail;
    return;
  }
  if (foreign(error.cluster))
    return stop(Halt::Reason::kWrongCluster,
                fmt::format("the members log has an entry of cluster {:08x}", error.cluster->value));
  stop(Halt::Reason::kNewerFormat, error.detail);
}

}  // namespace refrain::replication
