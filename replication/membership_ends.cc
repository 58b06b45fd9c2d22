// SPDX-License-Identifier: Apache-2.0
// How incarnations end: the words of an active member about ended journals, what it lacks for good, and what
// it writes to evict another, to leave, and to rejoin.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "replication/membership.h"

namespace refrain::replication {

namespace {

Seq applied_seq(const store::AppliedTable& applied, const Journal& journal) {
  auto found = applied.find(journal);
  return found == applied.end() ? Seq{0} : found->second.seq;
}

}  // namespace

std::optional<MembersEntry> Membership::wanted_by_member(const Facts& facts, MembershipStep& out) {
  hole_.clear();
  look_for_holes(facts, out);
  std::optional<MembersEntry> word;
  for (const Journal& ended : table_.ended()) {
    if (!word) word = wants_word(ended, facts, out);
  }
  bool ends_itself = leaving_ || rejoining() || !hole_.empty();
  if (!ends_itself) drain_to_.reset();
  auto rejoin = wants_rejoin(facts);  // also what it waits for is to be said
  if (word) return word;              // the others wait for it
  if (rejoining() || !hole_.empty()) return rejoin;
  if (leaving_) return wants_leave(facts);
  if (auto evict = wants_evict()) return evict;
  return wants_update();
}

// ---- words

/// The first word: what the log still had when the entry that ended the journal was read is in it.
std::optional<MembersEntry> Membership::wants_word(const Journal& ended, const Facts& facts,
                                                   MembershipStep& out) {
  auto word = table_.word(ended.incarnation, identity_.self.incarnation);
  if (!word) {
    SteadyNs since = word_since_.emplace(ended.incarnation, facts.steady).first->second;
    if (!read_to_end(ended.node, since, false, facts, out) && !REFRAIN_PLANTED(word_before_the_end_is_read))
      return std::nullopt;
    MembersEntry entry = draft(EntryKind::kLast);
    entry.words.push_back({ended.incarnation, applied_seq(facts.applied, ended)});
    return entry;
  }
  auto end = table_.end(ended.incarnation);
  if (!end || applied_seq(facts.applied, ended) >= *end) {
    unsettled_.erase(ended.incarnation);
    return std::nullopt;
  }
  return wants_new_word(ended, *word, *end, facts, out);
}

/// Below the end. What lies beyond our word was passed over when it was met, so the log is read from its
/// start once more for each word and end, and what it then has is what we can still promise: more, or less.
std::optional<MembersEntry> Membership::wants_new_word(const Journal& ended, Seq word, Seq end,
                                                       const Facts& facts, MembershipStep& out) {
  auto [entry, fresh] = unsettled_.try_emplace(ended.incarnation, Unsettled{word, end, facts.steady});
  if (!fresh && (entry->second.word != word || entry->second.end != end))
    entry->second = {word, end, facts.steady};
  if (!read_to_end(ended.node, entry->second.since, true, facts, out)) return std::nullopt;
  Seq has = applied_seq(facts.applied, ended);
  auto met = facts.readable.find(ended);
  Seq most = std::min(end, std::max(has, met == facts.readable.end() ? Seq{0} : met->second));
  MembersEntry last = draft(EntryKind::kLast);
  if (word > has) {
    last.words.push_back({ended.incarnation, has});
    return last;
  }
  if (most > word) {
    REFRAIN_BRANCH(word_raised);
    last.words.push_back({ended.incarnation, most});
    return last;
  }
  hole_ = fmt::format("it has {}'s ended journal up to seq {} of {}, and the log has no more", ended.node,
                      has.value, end.value);
  return std::nullopt;
}

/// A gap that the journal's own writer no longer keeps the commits for.
void Membership::look_for_holes(const Facts& facts, MembershipStep& out) {
  for (const auto& [journal, missing] : facts.gaps) {
    auto kept = facts.lowest_kept.find(journal);
    bool gone = kept != facts.lowest_kept.end() && kept->second > missing;
    if (gone) holes_.try_emplace(journal, Hole{missing, facts.steady});
    if (!gone) holes_.erase(journal);
  }
  // While the log is read once more the gap is not seen, and not filled.
  std::erase_if(holes_, [&](const auto& hole) {
    return applied_seq(facts.applied, hole.first) >= hole.second.missing ||
           !table_.is(hole.first.incarnation, MemberState::kActive);
  });
  for (const auto& [journal, hole] : holes_) {
    if (facts.steady - hole.since < config_.patience ||
        !read_to_end(journal.node, hole.since, true, facts, out) || !facts.gaps.contains(journal))
      continue;
    hole_ = fmt::format("seq {} of {}'s journal is missing, and neither the log nor {} has it any more",
                        hole.missing.value, journal.node, journal.node);
  }
}

// ---- orders

void Membership::evict(const Journal& member) {
  if (std::find(evictions_.begin(), evictions_.end(), member) == evictions_.end())
    evictions_.push_back(member);
}

void Membership::leave() {
  leaving_ = true;
}

void Membership::rejoin() {
  wants_rejoin_ = true;
}

/// All other active members show everything that this node wrote before it stopped taking writes.
bool Membership::drained(const Facts& facts) {
  if (!drain_to_) drain_to_ = facts.newest_write;
  for (const Journal& member : table_.active()) {
    if (member == identity_.self) continue;
    auto tick = facts.ticks.find(member);
    if (tick == facts.ticks.end() || applied_seq(tick->second.tick.applied, identity_.self) < *drain_to_) {
      detail_ += fmt::format("; waits until {} has all that it wrote", member.node);
      return false;
    }
  }
  return true;
}

std::optional<MembersEntry> Membership::wants_rejoin(const Facts& facts) {
  if (!rejoining() && hole_.empty()) return std::nullopt;
  detail_ = hole_.empty() ? "rejoins" : "rejoins: " + hole_;
  if (!hole_.empty()) rejoins_because_ = ": " + hole_;
  if (!table_.others_active(identity_.self.incarnation)) {
    detail_ += "; no other active member has its data, so it keeps it";
    return std::nullopt;
  }
  if (!rolled_back_ && !drained(facts)) return std::nullopt;
  answers_.ask(table_, identity_.self, facts.steady);
  if (!an_active_member_agrees(identity_.self.incarnation, facts)) {
    detail_ += "; looks for an active member that has read the same members log";
    return std::nullopt;
  }
  choose_next();
  MembersEntry entry = draft(EntryKind::kJoin);
  entry.incarnation = identity_.next;
  entry.replaces = identity_.self.incarnation;
  entry.traits = config_.traits;
  return entry;
}

void Membership::choose_next() {
  if (identity_.next.value == 0) identity_.next = {random_.next() | 1};
}

/// Of a fenced node that rejoins: nothing in its store is needed any more.
void Membership::start_over_as_next(const Facts& facts) {
  if (!rejoining()) return;
  auto current = table_.current(identity_.self.node);
  if (current && *current != identity_.self.incarnation && *current != identity_.next) {
    detail_ = "it cannot rejoin: another incarnation has its name";
    return;
  }
  if (!table_.end(identity_.self.incarnation)) {
    detail_ = "rejoins: waits until the members have agreed how far its journal goes";
  } else if (!facts.nothing_void_left) {
    detail_ = "rejoins: puts aside what is void";
  } else {
    answers_.ask(table_, identity_.self, facts.steady);
    detail_ = "rejoins: looks for an active member that has read the same members log";
    if (!an_active_member_agrees(identity_.self.incarnation, facts)) return;
    choose_next();
    REFRAIN_BRANCH(rejoined);
    start_over_ = "it rejoins" + rejoins_because_;
  }
}

std::optional<MembersEntry> Membership::wants_leave(const Facts& facts) {
  detail_ = "leaving";
  if (!table_.others_active(identity_.self.incarnation)) {
    detail_ += "; it is the last active member, and stays";
    return std::nullopt;
  }
  if (!drained(facts)) return std::nullopt;
  return draft(EntryKind::kLeave);
}

std::optional<MembersEntry> Membership::wants_evict() {
  std::erase_if(evictions_, [this](const Journal& member) {
    const Member* found = table_.find(member.incarnation);
    return found == nullptr || found->state == MemberState::kOver;
  });
  if (evictions_.empty()) return std::nullopt;
  MembersEntry entry = draft(EntryKind::kEvict);
  entry.node = evictions_.front().node;
  entry.incarnation = evictions_.front().incarnation;
  return entry;
}

}  // namespace refrain::replication
