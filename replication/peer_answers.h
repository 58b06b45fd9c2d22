// SPDX-License-Identifier: Apache-2.0
// Asks active members what they have counted of the members log, again and again, and keeps each one's newest
// answer.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"
#include "replication/members_table.h"
#include "replication/peers.h"

namespace refrain::replication {

/// One thread; nothing blocks.
class PeerAnswers {
 public:
  explicit PeerAnswers(Peers& peers) : peers_(peers) {}

  /// Asks every active member but `self`, each once a second, and takes what has come.
  void ask(const MembersTable& table, const Journal& self, SteadyNs now) {
    for (const Journal& member : table.active()) {
      const std::string& address = table.find(member.incarnation)->traits.address;
      if (member.node != self.node && !address.empty()) step(asked_[member], member, address, now);
    }
    std::erase_if(
        asked_, [&](const auto& asked) { return !table.is(asked.first.incarnation, MemberState::kActive); });
  }

  /// The members that answered within the last seconds, as who the members log says they are.
  std::map<Journal, const PeerMembers*> fresh(SteadyNs now) const {
    std::map<Journal, const PeerMembers*> found;
    for (const auto& [member, asked] : asked_) {
      if (asked.answer && now - asked.answer_to <= kFresh) found[member] = &*asked.answer;
    }
    return found;
  }

  bool waiting() const {
    for (const auto& [member, asked] : asked_) {
      if (asked.pending) return true;
    }
    return false;
  }

 private:
  static constexpr Milliseconds kEvery{1'000};
  static constexpr Milliseconds kFresh{3'000};
  static constexpr Milliseconds kPatience{10'000};

  struct Asked {
    std::unique_ptr<Pending<PeerMembers>> pending;
    std::optional<SteadyNs> at;
    std::optional<PeerMembers> answer;
    SteadyNs answer_to;  // when the question was put that it answers
  };

  void step(Asked& asked, const Journal& member, const std::string& address, SteadyNs now) {
    if (asked.pending) {
      auto answer = asked.pending->take();
      if (answer) {
        asked.pending.reset();
        asked.answer.reset();
        bool itself = answer->has_value() && (*answer)->node == member.node &&
                      (*answer)->incarnation == member.incarnation;
        if (itself) asked.answer = std::move(**answer);
        asked.answer_to = *asked.at;
      } else if (now - *asked.at >= kPatience) {
        asked.pending.reset();
      }
    }
    if (asked.pending || (asked.at && now - *asked.at < kEvery)) return;
    asked.pending = peers_.members(address);
    asked.at = now;
  }

  Peers& peers_;
  std::map<Journal, Asked> asked_;
};

}  // namespace refrain::replication
