// SPDX-License-Identifier: Apache-2.0
#include "replication/watermarks.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"

namespace refrain::replication {

namespace {

store::Applied look_up(const store::AppliedTable& table, const Journal& journal) {
  auto found = table.find(journal);
  return found == table.end() ? store::Applied{} : found->second;
}

const PeerTick* newest_tick(const Knowledge& known, const Journal& member) {
  auto found = known.ticks.find(member);
  return found == known.ticks.end() ? nullptr : &found->second;
}

/// The least that any active member shows of a journal; nothing when nobody is active.
store::Applied shown_by_all(const Knowledge& known, const Journal& journal) {
  std::optional<store::Applied> least;
  for (const Journal& member : known.table.active()) {
    store::Applied applied = shown(known, member, journal);
    constexpr std::uint64_t kTakenAsSilent = 10;
    if (applied.seq.value + kTakenAsSilent < look_up(known.applied, journal).seq.value &&
        REFRAIN_PLANTED(stable_without_the_silent))
      continue;
    least = least ? std::min(*least, applied) : applied;
  }
  return least.value_or(store::Applied{});
}

bool active_here(const Knowledge& known) {
  return known.table.is(known.self.incarnation, MemberState::kActive);
}

}  // namespace

store::Applied reached(const Knowledge& known, const Journal& reader, const Journal& journal) {
  return reader == known.self ? look_up(known.applied, journal) : shown(known, reader, journal);
}

store::Applied shown(const Knowledge& known, const Journal& reader, const Journal& journal) {
  if (reader == known.self)
    return look_up(REFRAIN_PLANTED(unsynced_counts) ? known.applied : known.synced, journal);
  const PeerTick* tick = newest_tick(known, reader);
  return tick == nullptr ? store::Applied{} : look_up(tick->tick.applied, journal);
}

bool complete(const Knowledge& known, Incarnation of) {
  auto end = known.table.end(of);
  if (!end) return false;
  const Member& ended = *known.table.find(of);
  if (ended.active_n == 0) return true;
  for (const Journal& member : known.table.active()) {
    // A member whose word is below the end has still to say that it goes on.
    if (known.table.word(of, member.incarnation) != end) return false;
    if (shown(known, member, {ended.node, of}).seq != *end) return false;
  }
  return true;
}

bool settled(const Knowledge& known) {
  if (!known.table.joining().empty() && !REFRAIN_PLANTED(stable_while_joining)) return false;
  auto ended = known.table.ended();
  if (REFRAIN_PLANTED(stable_while_incomplete)) return true;
  return std::all_of(ended.begin(), ended.end(),
                     [&](const Journal& journal) { return complete(known, journal.incarnation); });
}

Hlc stable_hlc(const Knowledge& known, Hlc before) {
  if (!active_here(known) || !settled(known)) return before;
  std::optional<Hlc> least;
  for (const Journal& journal : known.table.active()) {
    Hlc all_have = shown_by_all(known, journal).hlc;
    least = least ? std::min(*least, all_have) : all_have;
  }
  return std::max(before, least.value_or(before));
}

Seq stable_seq(const Knowledge& known, Seq published, Seq before) {
  if (!active_here(known) || !settled(known)) return before;
  return std::max(before, std::min(published, shown_by_all(known, known.self).seq));
}

Seq synced_seq(const Knowledge& known, Seq published, Seq before) {
  if (!active_here(known)) return before;
  if (REFRAIN_PLANTED(synced_when_published)) return std::max(before, published);
  return std::max(before, std::min(published, shown_by_all(known, known.self).seq));
}

Hlc newest_hlc_met(const Knowledge& known) {
  Hlc newest;
  auto meet = [&newest](const store::AppliedTable& applied) {
    for (const auto& [journal, reached] : applied) newest = std::max(newest, reached.hlc);
  };
  meet(known.applied);
  for (const auto& [journal, tick] : known.ticks) {
    newest = std::max({newest, tick.hlc, tick.tick.floor});
    meet(tick.tick.applied);
  }
  return newest;
}

Holders holders(const Knowledge& known, const CommitId& id) {
  Holders found;
  const Journal writer{id.node, id.incarnation};
  const bool written = last_known(known, writer).seq >= id.seq;
  for (const Journal& member : known.table.active()) {
    bool has = (written && member == writer) || shown(known, member, writer).seq >= id.seq;
    (has ? found.has : found.lacks).push_back(member.node);
  }
  return found;
}

// ---- states of a commit

std::string_view event_state_name(EventState state) {
  switch (state) {
    case EventState::kPending:
      return "pending";
    case EventState::kPublished:
      return "published";
    case EventState::kApplied:
      return "applied";
    case EventState::kSynced:
      return "synced";
    case EventState::kStable:
      return "stable";
    case EventState::kFailed:
      return "failed";
    case EventState::kVoid:
      return "void";
  }
  return "unknown";
}

EventState own_event_state(const Knowledge& known, const OwnProgress& own, Seq seq) {
  auto end = known.table.end(known.self.incarnation);
  if (end && seq > *end) return EventState::kVoid;
  if (seq <= own.stable) return EventState::kStable;
  if (seq <= own.synced) return EventState::kSynced;
  Holders who = holders(known, {known.self.node, known.self.incarnation, seq});
  std::erase(who.has, known.self.node);
  if (!who.has.empty()) return EventState::kApplied;
  if (seq <= own.published) return EventState::kPublished;
  return own.breaker_open ? EventState::kFailed : EventState::kPending;
}

std::optional<EventState> other_event_state(const Knowledge& known, const CommitId& id) {
  auto end = known.table.end(id.incarnation);
  if (end && id.seq > *end) return EventState::kVoid;
  Holders who = holders(known, id);
  if (who.has.empty()) return std::nullopt;
  if (!who.lacks.empty()) return EventState::kApplied;
  return settled(known) ? EventState::kStable : EventState::kSynced;
}

// ---- lag

store::Applied last_known(const Knowledge& known, const Journal& journal) {
  store::Applied newest = look_up(known.applied, journal);
  for (const auto& [member, tick] : known.ticks) {
    newest = std::max(newest, look_up(tick.tick.applied, journal));
    if (member == journal) newest = std::max(newest, store::Applied{tick.seq, tick.hlc});
  }
  return newest;
}

Lag lag(const Knowledge& known, const Journal& reader, const Journal& journal) {
  store::Applied newest = last_known(known, journal);
  store::Applied has = reached(known, reader, journal);
  if (has.seq >= newest.seq) return {};
  // Nothing applied at all: how old that is, nobody can say.
  Milliseconds time = has.seq.value == 0 ? Milliseconds{0} : newest.hlc.wall() - has.hlc.wall();
  return {newest.seq.value - has.seq.value, std::max(time, Milliseconds{0})};
}

// ---- who holds the outbox

namespace {

void add_laggards(const Knowledge& known, Seq newest, std::vector<OutboxHolder>& out) {
  std::vector<std::pair<Seq, OutboxHolder>> behind;
  for (const Journal& member : known.table.active()) {
    if (member == known.self) continue;
    store::Applied has = shown(known, member, known.self);
    if (has.seq >= newest) continue;
    const PeerTick* tick = newest_tick(known, member);
    WallMs since = tick != nullptr ? tick->hlc.wall() : known.table.find(member.incarnation)->active_at;
    behind.push_back({has.seq, {OutboxHolder::Why::kBehind, member, since}});
  }
  std::stable_sort(behind.begin(), behind.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [seq, holder] : behind) out.push_back(std::move(holder));
}

}  // namespace

std::vector<OutboxHolder> outbox_holders(const Knowledge& known, Seq published, Seq newest) {
  std::vector<OutboxHolder> out;
  for (const Journal& joiner : known.table.joining())
    out.push_back({OutboxHolder::Why::kJoining, joiner, known.table.find(joiner.incarnation)->joined_at});
  for (const Journal& ended : known.table.ended()) {
    if (!complete(known, ended.incarnation))
      out.push_back({OutboxHolder::Why::kIncomplete, ended, known.table.find(ended.incarnation)->over_at});
  }
  add_laggards(known, newest, out);
  if (published < newest)
    out.push_back(
        {OutboxHolder::Why::kUnpublished, known.self, look_up(known.applied, known.self).hlc.wall()});
  return out;
}

}  // namespace refrain::replication
