// SPDX-License-Identifier: Apache-2.0
#include "replication/publisher.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/planted.h"

namespace refrain::replication {

using State = resilience::CircuitBreaker::State;

namespace {
constexpr std::size_t kReadBytes = std::size_t{4} << 20;  // of the outbox at once
}

Publisher::Publisher(Log& log, PublisherSettings settings, Random& random, ReadOutbox outbox)
    : log_(log),
      settings_(std::move(settings)),
      random_(random),
      outbox_(std::move(outbox)),
      breaker_(settings_.breaker) {
  REFRAIN_ASSERT(settings_.window > 0, "a publisher needs a window");
}

void Publisher::start(Seq published, Seq newest) {
  REFRAIN_ASSERT(published <= newest, "published is ahead of the journal");
  published_ = published;
  newest_ = newest;
  next_ = published.next();
}

void Publisher::start_over(Seq published, Seq newest) {
  clear_flight();
  ready_.clear();
  ready_bytes_ = 0;
  republish_until_.reset();
  published_at_.reset();
  start(published, newest);
}

void Publisher::offer(Seq seq, std::string bytes) {
  REFRAIN_ASSERT(seq == newest_.next(), "commits are offered in seq order");
  newest_ = seq;
  bool follows = ready_.empty() ? seq == next_ : seq == ready_.back().seq.next();
  if (!follows || ready_bytes_ + bytes.size() > settings_.held_bytes) return;  // read from the outbox later
  ready_bytes_ += bytes.size();
  ready_.push_back({seq, std::move(bytes)});
}

void Publisher::set_allowed(bool allowed) {
  if (allowed_ == allowed) return;
  allowed_ = allowed;
  clear_flight();
}

void Publisher::found_in_topic(Seq up_to) {
  up_to = std::min(up_to, newest_);
  if (up_to <= published_) return;
  clear_flight();
  published_ = up_to;
  published_at_.reset();
  go_back_to(published_.next());
}

bool Publisher::republish_from(Seq first_missing) {
  if (first_missing.value == 0 || first_missing >= next_) return false;  // still to be sent anyway
  if (republish_until_ && first_missing >= republish_from_) return false;
  if (!flight_.empty()) REFRAIN_BRANCH(published_again_while_in_flight);
  for (Sent& sent : flight_) sent.counts = false;
  if (published_ >= first_missing) published_at_.reset();
  published_ = std::min(published_, Seq{first_missing.value - 1});
  republish_from_ = published_.next();  // what is in flight counts no more, so it goes again too
  republish_until_ = std::max(Seq{next_.value - 1}, republish_until_.value_or(Seq{}));
  go_back_to(republish_from_);
  return true;
}

void Publisher::retry_now() {
  breaker_.retry_now();
  paused_until_.reset();
}

bool Publisher::step(SteadyNs now) {
  Seq before = published_;
  take_reports(now);
  if (allowed_) send(now);
  if (republish_until_ && published_ >= *republish_until_) republish_until_.reset();
  return published_ != before;
}

void Publisher::take_reports(SteadyNs now) {
  if (!appender_) return;
  reports_.clear();
  appender_->poll(reports_);
  for (const DeliveryReport& report : reports_) {
    if (!take(report, now)) return;
  }
  if (auto reason = appender_->fatal()) {
    REFRAIN_BRANCH(attempt_failed_fatally);
    return fail(now, *reason);
  }
  bool overdue = !flight_.empty() && now - progress_at_ > settings_.attempt_timeout;
  if (!overdue) return;
  REFRAIN_BRANCH(attempt_timed_out);
  fail(now, "no delivery report within the attempt time-out");
}

/// False when the attempt failed by it.
bool Publisher::take(const DeliveryReport& report, SteadyNs now) {
  bool known = report.tag >= first_tag_ && report.tag - first_tag_ < flight_.size();
  if (!known) return true;
  Sent& sent = flight_[report.tag - first_tag_];
  if (sent.acknowledged) return true;
  if (report.error && REFRAIN_PLANTED(resend_only_the_failed)) {
    auto rows = outbox_(sent.seq, 1, kReadBytes);
    if (rows && !rows->empty() && appender_->append(report.tag, rows->front().bytes)) return true;
  }
  if (report.error) {
    REFRAIN_BRANCH(attempt_failed_by_report);
    fail(now, *report.error);
    return false;
  }
  sent.acknowledged = true;
  sent.at = report.offset;
  if (report.tag != first_tag_) REFRAIN_BRANCH(acknowledged_out_of_order);
  if (REFRAIN_PLANTED(ack_with_hole))
    for (std::uint64_t tag = first_tag_; tag < report.tag; ++tag)
      flight_[tag - first_tag_].acknowledged = true;
  progress_at_ = now;
  breaker_.succeeded();
  drop_acknowledged();
  return true;
}

void Publisher::drop_acknowledged() {
  for (; !flight_.empty() && flight_.front().acknowledged; flight_.pop_front(), ++first_tag_) {
    const Sent& sent = flight_.front();
    if (!sent.counts) continue;
    REFRAIN_ASSERT(sent.seq == published_.next(), "commits are acknowledged in seq order");
    published_ = sent.seq;
    published_at_ = sent.at;
  }
}

void Publisher::fail(SteadyNs now, std::string reason) {
  breaker_.failed(now, std::move(reason));
  paused_until_ = now + settings_.retry.pause(breaker_.trouble()->failures, random_.next());
  clear_flight();
}

void Publisher::clear_flight() {
  appender_.reset();
  first_tag_ += flight_.size();
  flight_.clear();
  go_back_to(published_.next());
}

void Publisher::go_back_to(Seq next) {
  if (next == next_) return;
  next_ = next;
  ready_.clear();
  ready_bytes_ = 0;
}

bool Publisher::may_send(SteadyNs now) const {
  if (paused_until_ && now < *paused_until_) return false;
  return breaker_.allows(now);
}

std::size_t Publisher::room(SteadyNs now) const {
  // After a failure one record goes first, as a probe, until it is acknowledged.
  std::size_t window = breaker_.state(now) == State::kHalfOpen ? 1 : settings_.window;
  return window > flight_.size() ? window - flight_.size() : 0;
}

void Publisher::send(SteadyNs now) {
  while (!all_sent() && may_send(now) && room(now) > 0 && fill(now)) {
    if (!appender_) appender_ = log_.open_appender(settings_.topic);
    if (flight_.empty()) progress_at_ = now;
    OutboxRow& row = ready_.front();
    if (!appender_->append(first_tag_ + flight_.size(), row.bytes)) {
      if (flight_.empty()) fail(now, "the log takes nothing although nothing is in flight");
      return;
    }
    flight_.emplace_back().seq = row.seq;
    ready_bytes_ -= row.bytes.size();
    ready_.pop_front();
    next_ = next_.next();
  }
}

/// Sees to it that the next row is in memory. False when there is none, or it cannot be read.
bool Publisher::fill(SteadyNs now) {
  if (!ready_.empty()) return true;
  auto rows = read_outbox(room(now));
  if (!rows) {
    fail(now, rows.error().detail);
    return false;
  }
  Seq first = rows->empty() ? newest_.next() : rows->front().seq;
  if (first != next_) {
    if (!flight_.empty()) return false;  // first the acknowledgements of what went before
    skip_to(first);
  }
  for (OutboxRow& row : *rows) {
    ready_bytes_ += row.bytes.size();
    ready_.push_back(std::move(row));
  }
  return !ready_.empty();
}

Result<std::vector<OutboxRow>> Publisher::read_outbox(std::size_t max_count) const {
  auto rows = outbox_(next_, max_count, kReadBytes);
  if (!rows) {
    rows.error().detail = "the outbox cannot be read: " + rows.error().detail;
    return rows;
  }
  // Not what was written but is not synced yet: a power cut could mint its version twice.
  while (!rows->empty() && rows->back().seq > newest_) rows->pop_back();
  for (std::size_t i = 1; i < rows->size(); ++i) {
    Seq expected = (*rows)[i - 1].seq.next();
    if ((*rows)[i].seq != expected)
      return corrupt(fmt::format("commit {} is missing in the outbox", expected.value));
  }
  return rows;
}

/// What is no longer in the outbox was stable: everyone has it.
void Publisher::skip_to(Seq first_kept) {
  REFRAIN_ASSERT(first_kept > next_ && next_ == published_.next(), "only what is stable may be passed over");
  next_ = first_kept;
  published_ = Seq{first_kept.value - 1};
  published_at_.reset();
}

std::optional<SteadyNs> Publisher::wakes_at(SteadyNs now) const {
  if (!allowed_) return std::nullopt;
  if (!flight_.empty()) return progress_at_ + settings_.attempt_timeout + Nanoseconds{1};
  return all_sent() ? std::nullopt : report(now).next_attempt;
}

PublisherReport Publisher::report(SteadyNs now) const {
  PublisherReport report{published_,         newest_,     flight_.size(), breaker_.state(now),
                         breaker_.trouble(), std::nullopt};
  if (paused_until_ && now < *paused_until_) report.next_attempt = paused_until_;
  if (auto opens = breaker_.half_opens_at(now))
    report.next_attempt = std::max(*opens, report.next_attempt.value_or(*opens));
  return report;
}

}  // namespace refrain::replication
