// SPDX-License-Identifier: Apache-2.0
// Who is a member: the table into which every node replays the members log. Every version must count alike,
// so what counts, and what it does, never changes; new kinds of entries come with a newer format.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/types.h"
#include "replication/members_entry.h"

namespace refrain::replication {

enum class MemberState : std::uint8_t { kJoining, kActive, kOver };
std::string_view member_state_name(MemberState state);  // "joining", "active", "over"

enum class Ending : std::uint8_t { kReplaced, kEvicted, kLeft };

struct Member {
  NodeName node;
  MemberState state = MemberState::kJoining;
  std::uint64_t joined_n = 0;  // of its found or join
  std::uint64_t active_n = 0;  // 0 = never was active
  std::uint64_t over_n = 0;
  Ending ending = Ending::kReplaced;  // when over
  WallMs joined_at;                   // by the writers' clocks, for people
  WallMs active_at;
  WallMs over_at;
  MemberTraits traits;
  /// Where an update changed the scope of a namespace ("" = of all that are not listed): the n of the newest.
  std::map<std::string, std::uint64_t> scopes_changed;
  bool operator==(const Member&) const = default;
};

/// A value: copy it freely. One thread writes it.
class MembersTable {
 public:
  bool empty() const { return n_ == 0; }
  std::uint64_t n() const { return n_; }          // entries counted
  const Sha256& hash() const { return hash_; }    // of the newest; zeros when empty
  ClusterId cluster() const { return cluster_; }  // 0 when empty

  const std::map<Incarnation, Member>& members() const { return members_; }
  const Member* find(Incarnation incarnation) const;
  bool is(Incarnation incarnation, MemberState state) const;
  /// The newest incarnation that the name has had; it may be over.
  std::optional<Incarnation> current(const NodeName& node) const;

  // Each ordered by node name.
  const std::vector<Journal>& active() const { return active_; }
  const std::vector<Journal>& joining() const { return joining_; }
  /// Over, and active once: only their journals have an end to agree on.
  const std::vector<Journal>& ended() const { return ended_; }
  bool others_active(Incarnation than) const;

  /// The cluster's format: the newest that every joining or active member reads; 0 when empty. No entry
  /// counts that would lower it: who has announced less, or has given up so old a format, is no member.
  std::uint32_t format() const { return format_; }

  /// What `by` has said, while it is an active member.
  std::optional<Seq> word(Incarnation of, Incarnation by) const;
  /// How far an ended incarnation's journal goes: the largest word of the active members; 0 when it never was
  /// active; nullopt while it is not over, or not all have spoken. What lies beyond is void.
  std::optional<Seq> end(Incarnation of) const;

  bool operator==(const MembersTable&) const = default;

 private:
  friend tl::expected<MembersTable, std::string> count(const MembersTable& table, const LoggedEntry& entry);
  friend class MembersCounting;
  void sort_by_state();

  std::uint64_t n_ = 0;
  Sha256 hash_{};
  ClusterId cluster_;
  std::map<Incarnation, Member> members_;
  std::map<NodeName, Incarnation> current_;
  std::map<Incarnation, std::map<Incarnation, Seq>> words_;  // of -> by -> seq
  // What members_ says, by state.
  std::uint32_t format_ = 0;
  std::vector<Journal> active_;
  std::vector<Journal> joining_;
  std::vector<Journal> ended_;
};

/// The table after the entry, or why it does not count and is passed over: its n is not the next, it follows
/// another history, or its rule says no.
[[nodiscard]] tl::expected<MembersTable, std::string> count(const MembersTable& table,
                                                            const LoggedEntry& entry);

}  // namespace refrain::replication
