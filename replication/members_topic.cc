// SPDX-License-Identifier: Apache-2.0
#include "replication/members_topic.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace refrain::replication {

namespace {

constexpr std::size_t kEventsPerStep = 500;
constexpr Milliseconds kRetry{500};
constexpr Milliseconds kLongestPass{
    30'000};  // a reader that gives neither an end nor a reason is opened anew
constexpr Milliseconds kSendTimeout{10'000};

}  // namespace

MembersTopic::MembersTopic(Log& log, TopicSpec spec, Milliseconds reread, std::uint32_t reader)
    : log_(log), spec_(std::move(spec)), reread_(reread), reads_format_(reader) {}

bool MembersTopic::step(SteadyNs now) {
  take_reports(now);
  if (now < not_before_) return false;
  if (!ensure(now)) return false;
  bool due = complete_ && now - opened_ >= reread_;
  bool stuck = !complete_ && reader_ && now - opened_ >= kLongestPass;
  if (!reader_ || due || stuck || number_ < asked_) open(now);
  return read(now);
}

/// A topic that is not there reads as lost: it is made first, so that "empty" is what Kafka says and not a
/// guess.
bool MembersTopic::ensure(SteadyNs now) {
  if (ensured_) return true;
  if (!ensuring_) ensuring_ = log_.ensure_topic(spec_);
  auto answer = ensuring_->take();
  if (!answer) return false;
  ensuring_.reset();
  ensured_ = answer->has_value();
  if (!ensured_) close(now, answer->error().detail);
  return ensured_;
}

void MembersTopic::open(SteadyNs now) {
  reader_.reset();
  reader_ = log_.open_reader(spec_.name, std::nullopt);
  pass_ = MembersReplay(cluster_, reads_format_);
  opened_ = now;
  ++number_;
  complete_ = false;
}

void MembersTopic::close(SteadyNs now, std::string why) {
  reader_.reset();
  complete_ = false;
  ensured_ = false;
  not_before_ = now + kRetry;
  trouble_ = std::move(why);
}

bool MembersTopic::read(SteadyNs now) {
  std::vector<ReadEvent> events;
  reader_->poll(kEventsPerStep, events);
  bool ended = false;
  for (const ReadEvent& event : events) {
    if (const auto* record = std::get_if<Record>(&event)) {
      pass_.add(record->bytes, record->taken);
      complete_ = ended = false;
    } else if (std::holds_alternative<AtEnd>(event)) {
      complete_ = ended = true;
      trouble_.clear();
    } else if (const auto* lost = std::get_if<CursorLost>(&event)) {
      close(now, lost->reason);
      return false;
    } else if (const auto* away = std::get_if<Unreachable>(&event)) {
      trouble_ = away->reason;
    }
  }
  return ended || (!events.empty() && pass_.halt().has_value());
}

bool MembersTopic::can_send(SteadyNs now) const {
  return in_flight_ == 0 && now >= send_not_before_;
}

void MembersTopic::send(const std::vector<std::string_view>& records, SteadyNs now) {
  if (!appender_) appender_ = log_.open_appender(spec_.name);
  for (std::string_view record : records) {
    if (!appender_->append(in_flight_, record)) break;
    ++in_flight_;
  }
  sent_at_ = now;
}

void MembersTopic::take_reports(SteadyNs now) {
  if (!appender_) return;
  std::vector<DeliveryReport> reports;
  appender_->poll(reports);
  for (const DeliveryReport& report : reports) {
    if (report.error) return stop_sending(now, *report.error);
  }
  if (auto fatal = appender_->fatal()) return stop_sending(now, *fatal);
  if (in_flight_ == 0) return;
  in_flight_ -= std::min(in_flight_, reports.size());
  if (in_flight_ == 0) return sent();
  if (now - sent_at_ >= kSendTimeout) stop_sending(now, "no delivery report came");
}

void MembersTopic::sent() {
  after_send_ = read_again();
}

void MembersTopic::stop_sending(SteadyNs now, std::string why) {
  appender_.reset();
  in_flight_ = 0;
  send_not_before_ = now + kRetry;
  trouble_ = std::move(why);
  sent();
}

}  // namespace refrain::replication
