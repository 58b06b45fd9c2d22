// SPDX-License-Identifier: Apache-2.0
#include "replication/members_table.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/planted.h"
#include "base/text.h"

namespace refrain::replication {

std::string_view member_state_name(MemberState state) {
  switch (state) {
    case MemberState::kJoining:
      return "joining";
    case MemberState::kActive:
      return "active";
    case MemberState::kOver:
      return "over";
  }
  return "unknown";
}

const Member* MembersTable::find(Incarnation incarnation) const {
  auto found = members_.find(incarnation);
  return found == members_.end() ? nullptr : &found->second;
}

bool MembersTable::is(Incarnation incarnation, MemberState state) const {
  const Member* member = find(incarnation);
  return member != nullptr && member->state == state;
}

std::optional<Incarnation> MembersTable::current(const NodeName& node) const {
  auto found = current_.find(node);
  if (found == current_.end()) return std::nullopt;
  return found->second;
}

void MembersTable::sort_by_state() {
  active_.clear();
  joining_.clear();
  ended_.clear();
  std::uint32_t format = std::numeric_limits<std::uint32_t>::max();
  for (const auto& [incarnation, member] : members_) {
    bool counts = REFRAIN_PLANTED(format_without_joiners) ? member.state == MemberState::kActive
                                                          : member.state != MemberState::kOver;
    if (counts) format = std::min(format, member.traits.formats.max);
    Journal journal{member.node, incarnation};
    if (member.state == MemberState::kActive)
      active_.push_back(std::move(journal));
    else if (member.state == MemberState::kJoining)
      joining_.push_back(std::move(journal));
    else if (member.active_n != 0)
      ended_.push_back(std::move(journal));
  }
  format_ = format;  // there always is an active member
  for (auto* journals : {&active_, &joining_, &ended_}) std::sort(journals->begin(), journals->end());
}

bool MembersTable::others_active(Incarnation than) const {
  return std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
    return member.first != than && member.second.state == MemberState::kActive;
  });
}

std::optional<Seq> MembersTable::word(Incarnation of, Incarnation by) const {
  if (!is(by, MemberState::kActive)) return std::nullopt;
  auto words = words_.find(of);
  if (words == words_.end()) return std::nullopt;
  auto said = words->second.find(by);
  if (said == words->second.end()) return std::nullopt;
  return said->second;
}

std::optional<Seq> MembersTable::end(Incarnation of) const {
  const Member* member = find(of);
  if (member == nullptr || member->state != MemberState::kOver) return std::nullopt;
  if (member->active_n == 0) return Seq{0};
  std::optional<Seq> end;
  for (const auto& [incarnation, other] : members_) {
    if (other.state != MemberState::kActive) continue;
    auto said = word(of, incarnation);
    if (!said) return std::nullopt;
    if (REFRAIN_PLANTED(end_is_smallest_word)) {
      end = std::min(end.value_or(*said), *said);
      continue;
    }
    end = std::max(end.value_or(Seq{0}), *said);
  }
  return end;
}

/// One entry's effect on a copy of the table. Each rule gives an empty string when the entry counts, else why
/// not.
class MembersCounting {
 public:
  MembersCounting(MembersTable& table, const MembersEntry& entry) : table_(table), entry_(entry) {}

  std::string rule() {
    if ((entry_.kind == EntryKind::kFound) != table_.empty())
      return table_.empty() ? "nothing counts before found" : "the cluster has been founded";
    if (announces() && !fits()) return "its program does not fit the cluster's format";
    switch (entry_.kind) {
      case EntryKind::kFound:
        return found();
      case EntryKind::kJoin:
        return join();
      case EntryKind::kActive:
        return active();
      case EntryKind::kEvict:
        return over(Ending::kEvicted);
      case EntryKind::kLeave:
        return over(Ending::kLeft);
      case EntryKind::kLast:
        return last();
      case EntryKind::kUpdate:
        return update();
    }
    return "its kind is not known";
  }

 private:
  bool announces() const {
    return entry_.kind == EntryKind::kFound || entry_.kind == EntryKind::kJoin ||
           entry_.kind == EntryKind::kUpdate;
  }
  /// With what the entry announces its member can be one in this cluster.
  bool fits() const {
    const Formats& formats = entry_.traits.formats;
    return table_.empty() ? formats.min <= formats.max : formats.fit(table_.format());
  }

  std::string found() {
    table_.cluster_ = entry_.cluster;
    Member& member = begin();
    member.state = MemberState::kActive;
    member.active_n = entry_.n;
    member.active_at = entry_.at;
    return {};
  }

  std::string join() {
    if (table_.find(entry_.incarnation) != nullptr) return "this incarnation has joined before";
    auto current = table_.current(entry_.node);
    if (current != entry_.replaces) return "it does not replace what has the name";
    if (current) {
      Member& old = table_.members_.at(*current);
      if (old.state == MemberState::kActive && !table_.others_active(*current))
        return "no active member would be left";
      if (old.state != MemberState::kOver) end(old, Ending::kReplaced);
    }
    begin().state = MemberState::kJoining;
    return {};
  }

  std::string active() {
    Member* member = subject();
    if (member == nullptr || member->state != MemberState::kJoining) return "this incarnation is not joining";
    member->state = MemberState::kActive;
    member->active_n = entry_.n;
    member->active_at = entry_.at;
    for (const Word& word : entry_.words) say(word);
    return {};
  }

  std::string over(Ending ending) {
    Member* member = subject();
    if (member == nullptr || member->state == MemberState::kOver)
      return "this incarnation is neither joining nor active";
    if (!table_.others_active(entry_.incarnation)) return "no active member would be left";
    end(*member, ending);
    return {};
  }

  std::string last() {
    Member* member = subject();
    if (member == nullptr || member->state != MemberState::kActive) return "only an active member has a word";
    if (!table_.is(entry_.words.front().of, MemberState::kOver)) return "a word about what is not over";
    say(entry_.words.front());
    return {};
  }

  std::string update() {
    Member* member = subject();
    if (member == nullptr || member->state == MemberState::kOver)
      return "this incarnation is neither joining nor active";
    note_changed_scopes(*member);
    member->traits = entry_.traits;
    return {};
  }

  void note_changed_scopes(Member& member) {
    const auto& before = member.traits.scopes;
    const auto& after = entry_.traits.scopes;
    auto of = [](const std::map<std::string, std::string>& scopes, const std::string& ns) {
      auto found = scopes.find(ns);
      return found == scopes.end() ? std::string() : found->second;
    };
    for (const auto* scopes : {&before, &after}) {
      for (const auto& [ns, scope] : *scopes)
        if (of(before, ns) != of(after, ns)) member.scopes_changed[ns] = entry_.n;
    }
  }

  /// The member that the entry names, by node and incarnation both.
  Member* subject() {
    auto found = table_.members_.find(entry_.incarnation);
    if (found == table_.members_.end() || found->second.node != entry_.node) return nullptr;
    return &found->second;
  }

  Member& begin() {
    Member& member = table_.members_[entry_.incarnation];
    member.node = entry_.node;
    member.joined_n = entry_.n;
    member.joined_at = entry_.at;
    member.traits = entry_.traits;
    table_.current_[entry_.node] = entry_.incarnation;
    return member;
  }

  void end(Member& member, Ending ending) {
    member.state = MemberState::kOver;
    member.over_n = entry_.n;
    member.over_at = entry_.at;
    member.ending = ending;
  }

  // A word given before its incarnation was over would speak of another moment.
  void say(const Word& word) {
    if (table_.is(word.of, MemberState::kOver)) table_.words_[word.of][entry_.incarnation] = word.seq;
  }

  MembersTable& table_;
  const MembersEntry& entry_;
};

tl::expected<MembersTable, std::string> count(const MembersTable& table, const LoggedEntry& logged) {
  const MembersEntry& entry = logged.entry;
  if (entry.n != table.n() + 1)
    return tl::make_unexpected("its n is " + std::to_string(entry.n) + ", the next is " +
                               std::to_string(table.n() + 1));
  if (entry.prev != table.hash()) return tl::make_unexpected(std::string("it follows another entry"));
  MembersTable next = table;
  std::string refused = MembersCounting(next, entry).rule();
  if (!refused.empty()) return tl::make_unexpected(std::move(refused));
  next.n_ = entry.n;
  next.hash_ = logged.hash;
  next.sort_by_state();
  return next;
}

}  // namespace refrain::replication
