// SPDX-License-Identifier: Apache-2.0
// How an entry of ours gets into the members log: wanted, the log read whole, made, durable, sent, read back.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "replication/membership.h"

namespace refrain::replication {

namespace {

constexpr Milliseconds kSurveyEvery{1'000};
constexpr Milliseconds kSurveyFresh{3'000};

}  // namespace

/// Whoever knows entries that the log lacks writes them again, in order; doubles are harmless.
void Membership::rebuild(const Facts& facts) {
  if (halt_ || start_over_ || !wrong_cluster_.empty()) return;
  if (!topic_.shows_what_was_sent() || !topic_.can_send(facts.steady) || log_n_ >= entries_.size()) return;
  std::vector<std::string_view> records;
  for (std::uint64_t n = log_n_; n < entries_.size(); ++n) records.push_back(entries_[n].bytes);
  topic_.send(records, facts.steady);
}

void Membership::write(const std::optional<MembersEntry>& wanted, const Facts& facts) {
  // Not before what stands at its n is durable: until then our word in it still binds.
  if (own_ && own_->logged.entry.n <= table_.n()) own_.reset();
  if (own_ || !wanted) wants_.reset();
  if (own_) {
    const MembersEntry& entry = own_->logged.entry;
    if (!own_->durable || !topic_.shows_what_was_sent() || !topic_.can_send(facts.steady)) return;
    if (may_write(ended_by(entry), facts) && may_send(entry, facts))
      topic_.send({own_->logged.bytes}, facts.steady);
  } else if (wanted) {
    if (wants_ != wanted->kind) {
      wants_ = wanted->kind;
      fresh_pass_ = topic_.read_again();
    }
    if (topic_.whole_since(fresh_pass_) && may_write(ended_by(*wanted), facts)) compose(*wanted, facts);
  }
}

void Membership::compose(MembersEntry entry, const Facts& facts) {
  entry.n = table_.n() + 1;
  entry.prev = table_.hash();
  if (!table_.empty()) entry.cluster = table_.cluster();
  entry.by = identity_.self;
  entry.at = facts.wall;
  entry.min_reader = writes_format();
  LoggedEntry logged = encode_entry(entry);
  if (!count(table_, logged)) return;
  own_ = OwnEntry{std::move(logged), false, false};
  wants_.reset();
}

void Membership::give_rows(MembershipStep& out) {
  fresh_given_ = fresh_.size();
  out.next = identity_.next;
  // A snapshot begins with emptying the store: what it then gets must have no hole, whatever comes of the
  // snapshot.
  if (snapshot_offered_ && !fresh_.empty()) {
    for (const LoggedEntry& entry : entries_)
      out.persist.push_back({MembersRow::Kind::kEntry, entry.entry.n, entry.bytes});
  }
  for (const LoggedEntry& entry : fresh_)
    out.persist.push_back({MembersRow::Kind::kEntry, entry.entry.n, entry.bytes});
  if (!identity_.cluster && !fresh_.empty()) out.cluster = fresh_.front().entry.cluster;
  if (!own_ || own_->durable) return;
  out.persist.push_back({MembersRow::Kind::kOwnEntry, own_->logged.entry.n, own_->logged.bytes});
  own_->given = true;
}

/// Only of a log that is whole, and in which all entries that are stored can be read.
void Membership::note_agreed(MembershipStep& out) {
  bool all = !lost_ && log_shows_all() && fresh_.empty() && !table_.empty();
  if (!all || newest_in_log_.n != table_.n() || newest_in_log_ == agreed_) return;
  out.agreed = newest_in_log_;
}

bool Membership::may_write(std::optional<Incarnation> concerned, const Facts& facts) {
  if (halt_ || start_over_ || !wrong_cluster_.empty() || !log_shows_all()) return false;
  for (const Journal& member : table_.active()) {
    if (member == identity_.self || member.incarnation == concerned) continue;
    auto tick = facts.ticks.find(member);
    if (tick != facts.ticks.end() && tick->second.tick.members_n > known_n())
      return false;  // we have not read it all
  }
  return !lost_ || agreed(concerned, facts);
}

/// After a loss: all active members have counted what we have, as of ticks that they wrote after they had
/// applied one that we wrote after the log was whole again. Asked only while the log shows all that we know.
bool Membership::agreed(std::optional<Incarnation> concerned, const Facts& facts) {
  if (!table_.is(identity_.self.incarnation, MemberState::kActive))
    return true;  // it asks an active member instead
  auto others = disagreeing(facts);
  return std::all_of(others.begin(), others.end(), [&](Incarnation one) { return one == concerned; });
}

std::vector<Incarnation> Membership::disagreeing(const Facts& facts) {
  if (!log_shows_all()) return {identity_.self.incarnation};
  if (!barrier_) barrier_ = facts.newest.next();
  std::vector<Incarnation> others;
  for (const Journal& member : table_.active()) {
    if (member == identity_.self) continue;
    auto found = facts.ticks.find(member);
    bool agrees = false;
    if (found != facts.ticks.end()) {
      const store::Tick& tick = found->second.tick;
      auto ours = tick.applied.find(identity_.self);
      agrees = tick.members_n == table_.n() && tick.members_hash == table_.hash() &&
               ours != tick.applied.end() && ours->second.seq >= *barrier_;
    }
    if (!agrees) others.push_back(member.incarnation);
  }
  return others;
}

/// What must hold beyond may_write() at the moment of sending, again for each repetition.
bool Membership::may_send(const MembersEntry& entry, const Facts& facts) {
  switch (entry.kind) {
    case EntryKind::kFound:
      return config_.found && nothing_was_ever_written(facts);
    case EntryKind::kJoin:
    case EntryKind::kActive:
      answers_.ask(table_, identity_.self, facts.steady);
      return an_active_member_agrees(ended_by(entry), facts);
    default:
      return true;
  }
}

/// A node that has no history of its own cannot see that the log was cut: a member can.
/// It may itself wait for the one that is `concerned`, and for nobody else.
bool Membership::an_active_member_agrees(std::optional<Incarnation> concerned, const Facts& facts) const {
  for (const auto& [member, answer] : answers_.fresh(facts.steady)) {
    bool same = answer->cluster == table_.cluster() && answer->n() == table_.n() &&
                answer->hashes.back() == table_.hash();
    bool waits =
        answer->waits_for_agreement &&
        (answer->waits_for.empty() || std::any_of(answer->waits_for.begin(), answer->waits_for.end(),
                                                  [&](Incarnation one) { return one != concerned; }));
    if (answer->active && !waits && same) return true;
  }
  return false;
}

/// Of all topics of this cluster, as of a survey at most a few seconds old.
bool Membership::nothing_was_ever_written(const Facts& facts) {
  if (survey_) {
    if (auto answer = survey_->take()) {
      survey_.reset();
      surveyed_at_.reset();
      if (answer->has_value()) surveyed_at_ = survey_asked_;
      not_empty_.clear();
      if (answer->has_value()) {
        for (const TopicInfo& topic : **answer) {
          if (topic.has_records && not_empty_.empty()) not_empty_ = topic.name;
        }
      }
    }
  }
  if (!survey_ && (!survey_asked_ || facts.steady - *survey_asked_ >= kSurveyEvery)) {
    survey_ = log_.survey("refrain." + config_.cluster + ".");
    survey_asked_ = facts.steady;
  }
  return surveyed_at_ && facts.steady - *surveyed_at_ <= kSurveyFresh && not_empty_.empty();
}

}  // namespace refrain::replication
