// SPDX-License-Identifier: Apache-2.0
// Histories of the members log for tests, entry by entry.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "replication/members_table.h"

namespace refrain::replication {

inline constexpr ClusterId kCluster{0xC0FFEE};

/// An entry at the next place behind the table.
inline MembersEntry next_entry(const MembersTable& table, EntryKind kind, const NodeName& node,
                               std::uint64_t incarnation) {
  MembersEntry entry;
  entry.n = table.n() + 1;
  entry.prev = table.hash();
  entry.cluster = kCluster;
  entry.kind = kind;
  entry.node = node;
  entry.incarnation = {incarnation};
  entry.by = {node, {incarnation}};
  entry.at = {1'763'980'000'000};
  entry.traits.address = "http://" + node;
  return entry;
}

class History {
 public:
  /// Each gives whether the entry counted.
  bool found(const NodeName& node, std::uint64_t incarnation) {
    return add(EntryKind::kFound, node, incarnation);
  }
  bool join(const NodeName& node, std::uint64_t incarnation, std::optional<Incarnation> replaces) {
    MembersEntry entry = next_entry(table_, EntryKind::kJoin, node, incarnation);
    entry.replaces = replaces;
    return take(encode_entry(entry));
  }
  bool active(const NodeName& node, std::uint64_t incarnation, std::vector<Word> words = {}) {
    MembersEntry entry = next_entry(table_, EntryKind::kActive, node, incarnation);
    entry.words = std::move(words);
    return take(encode_entry(entry));
  }
  bool last(const NodeName& node, std::uint64_t incarnation, std::uint64_t of, std::uint64_t seq) {
    MembersEntry entry = next_entry(table_, EntryKind::kLast, node, incarnation);
    entry.words = {{{of}, {seq}}};
    return take(encode_entry(entry));
  }
  bool add(EntryKind kind, const NodeName& node, std::uint64_t incarnation) {
    return take(encode_entry(next_entry(table_, kind, node, incarnation)));
  }
  bool take(LoggedEntry entry) {
    auto next = count(table_, entry);
    if (!next) return false;
    table_ = std::move(*next);
    entries_.push_back(std::move(entry));
    return true;
  }

  LoggedEntry next(EntryKind kind, const NodeName& node, std::uint64_t incarnation) const {
    return encode_entry(next_entry(table_, kind, node, incarnation));
  }
  const MembersTable& table() const { return table_; }
  const std::vector<LoggedEntry>& entries() const { return entries_; }
  std::vector<std::string> rows() const {
    std::vector<std::string> rows;
    for (const LoggedEntry& entry : entries_) rows.push_back(entry.bytes);
    return rows;
  }

 private:
  MembersTable table_;
  std::vector<LoggedEntry> entries_;
};

/// eu (1), us (2) and ap (3), all active.
inline History three_members() {
  History history;
  history.found("eu", 1);
  for (const auto& [node, incarnation] : {std::pair{"us", 2}, std::pair{"ap", 3}}) {
    history.join(node, static_cast<std::uint64_t>(incarnation), std::nullopt);
    history.active(node, static_cast<std::uint64_t>(incarnation));
  }
  return history;
}

}  // namespace refrain::replication
