// SPDX-License-Identifier: Apache-2.0
#include "replication/memory_log.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

namespace refrain::replication {

namespace {

using Link = MemoryLog::Link;

constexpr std::size_t kMaxUnsent = 100'000;  // records; as librdkafka's queue
constexpr std::size_t kMaxUnsentBytes = std::size_t{64} << 20;
constexpr std::uint64_t kMaxRewind = 20;

}  // namespace

class MemoryAppender final : public Appender {
 public:
  MemoryAppender(std::shared_ptr<Link> link, std::string topic)
      : link_(std::move(link)), topic_(std::move(topic)) {}

  ~MemoryAppender() override {
    MemoryBroker& broker = *link_->broker;
    std::lock_guard lock(broker.mutex_);
    if (!link_->connected || unsent_.empty() || !broker.chance(broker.faults_.arrives_late, "arrives_late"))
      return;
    unsent_.resize(1 + broker.draw(unsent_.size()));
    for (Unsent& record : unsent_) broker.late_.push_back({topic_, std::move(record.bytes)});
  }

  bool append(std::uint64_t tag, std::string_view bytes) override {
    if (unsent_.size() >= kMaxUnsent || (!unsent_.empty() && unsent_bytes_ + bytes.size() > kMaxUnsentBytes))
      return false;
    unsent_.push_back({tag, std::string(bytes)});
    unsent_bytes_ += bytes.size();
    send();
    return true;
  }

  void poll(std::vector<DeliveryReport>& out) override {
    send();
    MemoryBroker& broker = *link_->broker;
    std::lock_guard lock(broker.mutex_);
    if (hangs_ || link_->deaf || reports_.empty() ||
        broker.chance(broker.faults_.reports_stall, "reports_stall"))
      return;
    if (reports_.size() > 1 && broker.chance(broker.faults_.reports_reordered, "reports_reordered")) {
      std::swap(reports_[broker.draw(reports_.size())], reports_[broker.draw(reports_.size())]);
    }
    std::move(reports_.begin(), reports_.end(), std::back_inserter(out));
    reports_.clear();
  }

  std::optional<std::string> fatal() const override { return fatal_; }

 private:
  struct Unsent {
    std::uint64_t tag;
    std::string bytes;
  };

  void send() {
    MemoryBroker& broker = *link_->broker;
    std::unique_lock lock(broker.mutex_);
    if (fatal_ || unsent_.empty() || !link_->connected) return;
    if (broker.chance(broker.faults_.send_stalls, "send_stalls")) return;
    broker.some_late_records_arrive();
    for (; !unsent_.empty() && !fatal_; unsent_.pop_front()) send_one(broker, unsent_.front());
    unsent_bytes_ = 0;
    auto wakers = broker.wakers_;
    lock.unlock();
    MemoryBroker::wake(wakers);
  }

  void send_one(MemoryBroker& broker, const Unsent& record) {
    const MemoryFaults& faults = broker.faults_;
    if (broker.chance(faults.appender_dies, "appender_dies")) {
      fatal_ = "the producer is fenced (a fault of this in-process log)";
      return;
    }
    if (!hangs_ && broker.chance(faults.appender_hangs, "appender_hangs")) {
      hangs_ = true;
      swallows_ = broker.draw(2) == 0;
    }
    if (swallows_) return;
    MemoryBroker::Topic* topic = broker.find(topic_);
    if (topic == nullptr) return report(record.tag, "the topic does not exist");
    if (broker.chance(faults.record_lost, "record_lost")) return report(record.tag, "the request was lost");
    Offset at = broker.write(*topic, record.bytes);
    if (broker.chance(faults.written_twice, "written_twice")) broker.write(*topic, record.bytes);
    if (broker.chance(faults.written_but_failed, "written_but_failed"))
      return report(record.tag, "the answer was lost");
    reports_.push_back({record.tag, std::nullopt, at});
  }

  void report(std::uint64_t tag, std::string error) {
    reports_.push_back({tag, std::move(error), std::nullopt});
  }

  std::shared_ptr<Link> link_;
  std::string topic_;
  std::deque<Unsent> unsent_;
  std::size_t unsent_bytes_ = 0;
  std::vector<DeliveryReport> reports_;
  std::optional<std::string> fatal_;
  bool hangs_ = false;
  bool swallows_ = false;  // and nothing is written either
};

class MemoryReader final : public Reader {
 public:
  MemoryReader(std::shared_ptr<Link> link, std::string topic, std::optional<Offset> from)
      : link_(std::move(link)), topic_(std::move(topic)), next_(from) {}

  void poll(std::size_t max, std::vector<ReadEvent>& out) override {
    MemoryBroker& broker = *link_->broker;
    std::lock_guard lock(broker.mutex_);
    if (lost_ || max == 0) return;
    if (!link_->hears()) return say_unreachable(out);
    unreachable_ = false;
    broker.some_late_records_arrive();
    MemoryBroker::Topic* topic = broker.find(topic_);
    if (auto reason = why_lost(topic)) return lose(*reason, out);
    if (broker.chance(broker.faults_.reader_stalls, "reader_stalls")) return;
    if (next_->value > topic->first && broker.chance(broker.faults_.reader_rewinds, "reader_rewinds")) {
      auto back = static_cast<std::int64_t>(1 + broker.draw(kMaxRewind));
      next_->value = std::max(topic->first, next_->value - back);
      at_end_ = false;
    }
    give(*topic, max, out);
  }

 private:
  /// Settles at the beginning when that was asked for.
  std::optional<std::string> why_lost(MemoryBroker::Topic* topic) {
    if (topic == nullptr) return "the topic does not exist";
    if (life_ == 0) life_ = topic->life;
    if (life_ != topic->life) return "the topic was made anew";
    if (!next_) next_ = Offset{topic->first};
    if (next_->value < topic->first || next_->value > topic->end()) return "the offset is out of range";
    return std::nullopt;
  }

  void give(const MemoryBroker::Topic& topic, std::size_t max, std::vector<ReadEvent>& out) {
    std::size_t given = 0;
    for (; given < max && next_->value < topic.end(); ++given, ++next_->value) {
      const auto& stored = topic.records[static_cast<std::size_t>(next_->value - topic.first)];
      out.emplace_back(Record{*next_, stored.bytes, stored.taken});
      at_end_ = false;
    }
    if (given < max && !at_end_) {
      out.emplace_back(AtEnd{*next_});
      at_end_ = true;
    }
  }

  void lose(const std::string& reason, std::vector<ReadEvent>& out) {
    lost_ = true;
    out.emplace_back(CursorLost{reason});
  }

  void say_unreachable(std::vector<ReadEvent>& out) {
    if (!unreachable_) out.emplace_back(Unreachable{"the region is cut off"});
    unreachable_ = true;
  }

  std::shared_ptr<Link> link_;
  std::string topic_;
  std::optional<Offset> next_;  // none = the beginning, wherever it is
  std::uint64_t life_ = 0;
  bool at_end_ = false;  // said for next_
  bool lost_ = false;
  bool unreachable_ = false;
};

/// Was answered when it was asked for; the answer may be slow.
template <class T>
class MemoryPending final : public Pending<T> {
 public:
  MemoryPending(std::shared_ptr<Link> link, Result<T> answer)
      : link_(std::move(link)), answer_(std::move(answer)) {}

  std::optional<Result<T>> take() override {
    MemoryBroker& broker = *link_->broker;
    std::lock_guard lock(broker.mutex_);
    if (!answer_ || broker.chance(broker.faults_.answer_stalls, "answer_stalls")) return std::nullopt;
    return std::exchange(answer_, std::nullopt);
  }

 private:
  std::shared_ptr<Link> link_;
  std::optional<Result<T>> answer_;
};

MemoryLog::MemoryLog(std::shared_ptr<MemoryBroker> broker, std::function<void()> wake)
    : link_(std::make_shared<Link>()) {
  link_->waker = std::make_shared<MemoryBroker::Waker>();
  link_->waker->call = std::move(wake);
  link_->broker = std::move(broker);
  std::lock_guard lock(link_->broker->mutex_);
  link_->broker->wakers_.push_back(link_->waker);
}

MemoryLog::~MemoryLog() {
  {
    std::lock_guard lock(link_->broker->mutex_);
    std::erase(link_->broker->wakers_, link_->waker);
  }
  std::lock_guard lock(link_->waker->mutex);
  link_->waker->call = nullptr;
}

void MemoryLog::set_connected(bool connected) {
  {
    std::lock_guard lock(link_->broker->mutex_);
    link_->connected = connected;
  }
  (*link_->waker)();
}

void MemoryLog::set_deaf(bool deaf) {
  {
    std::lock_guard lock(link_->broker->mutex_);
    link_->deaf = deaf;
  }
  (*link_->waker)();
}

std::unique_ptr<Appender> MemoryLog::open_appender(const std::string& topic) {
  return std::make_unique<MemoryAppender>(link_, topic);
}

std::unique_ptr<Reader> MemoryLog::open_reader(const std::string& topic, std::optional<Offset> from) {
  return std::make_unique<MemoryReader>(link_, topic, from);
}

namespace {

Error cut_off() {
  return unavailable("timed_out", "The region is cut off from the log. Try again once it is connected.");
}
Error answer_lost() {
  return unavailable("timed_out", "The log's answer was lost. Try again.");
}

}  // namespace

std::unique_ptr<Pending<void>> MemoryLog::ensure_topic(const TopicSpec& spec) {
  MemoryBroker& broker = *link_->broker;
  std::unique_lock lock(broker.mutex_);
  Result<void> answer;
  if (!link_->connected) {
    answer = cut_off();
  } else {
    broker.make(spec.name, spec.retention.count() < 0);
    if (link_->deaf || broker.chance(broker.faults_.done_but_failed, "done_but_failed"))
      answer = answer_lost();
  }
  lock.unlock();
  (*link_->waker)();
  return std::make_unique<MemoryPending<void>>(link_, std::move(answer));
}

std::unique_ptr<Pending<std::vector<TopicInfo>>> MemoryLog::survey(const std::string& prefix) {
  MemoryBroker& broker = *link_->broker;
  std::unique_lock lock(broker.mutex_);
  Result<std::vector<TopicInfo>> answer;
  if (!link_->hears()) answer = cut_off();
  for (const auto& [name, topic] : broker.topics_) {
    if (answer && name.starts_with(prefix)) answer->push_back({name, topic.end() > 0});
  }
  lock.unlock();
  (*link_->waker)();
  return std::make_unique<MemoryPending<std::vector<TopicInfo>>>(link_, std::move(answer));
}

LogHealth MemoryLog::health() const {
  std::lock_guard lock(link_->broker->mutex_);
  return {link_->hears(), link_->hears() ? "" : "the region is cut off",
          "in-process-" + std::to_string(link_->broker->cluster_)};
}

}  // namespace refrain::replication
