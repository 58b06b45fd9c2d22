// SPDX-License-Identifier: Apache-2.0
// A Kafka in memory: what MemoryLogs of several nodes share. For demo, tests and the simulator.
//
// Fault model. Without faults it is a perfect broker: what is appended is written at once, once, in order,
// and stays. With Faults, chance decides (from the Random that the simulator gives; same draws = same run):
//  - of a record, when it is sent: it is lost and reported failed; written but reported failed; written
//  twice. What was
//    sent behind it is still written, so the topic has a gap or a double until its writer sends again.
//  - of an appender: sending or reporting stalls for a call; its reports come in another order; it hangs,
//  that is, never
//    reports again (what it is given is written, or never is); it dies of a fatal error. When it is
//    destroyed, what it had not sent yet may still arrive, later, between what its successor writes.
//  - of a reader: a poll stalls; it goes back and gives again what it gave.
//  - of topic calls: the answer stalls; it is done but reported failed.
// The simulator, or a test, does the rest by hand: topics deleted, made again, cut at either end (at the
// front, retention; at the end, a broker that lost what it had acknowledged), all replaced by an empty
// cluster, foreign bytes, flipped bits, and each node's connection cut (MemoryLog::set_connected). What it
// does not do: reorder records within a topic other than as above, change bytes on the way, or let a reader
// of one topic see another's records. It has no thread and no clock: delays are calls that give nothing.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/types.h"
#include "replication/log.h"

namespace refrain::replication {

/// Probabilities, 0 to 1. Per record unless it says per call.
struct MemoryFaults {
  double record_lost = 0;
  double written_but_failed = 0;
  double written_twice = 0;
  double send_stalls = 0;        // per append or poll of an appender
  double reports_stall = 0;      // per poll
  double reports_reordered = 0;  // per poll
  double appender_hangs = 0;
  double appender_dies = 0;
  double arrives_late = 0;     // of what a destroyed appender had not sent
  double reader_stalls = 0;    // per poll
  double reader_rewinds = 0;   // per poll; up to 20 records
  double answer_stalls = 0;    // per take()
  double done_but_failed = 0;  // per topic call
};

/// Any thread; the Random is used under the broker's lock.
class MemoryBroker {
 public:
  /// Of a topic without `retention: for ever`, the oldest records go when it holds more bytes than this.
  explicit MemoryBroker(std::size_t retained_bytes = std::size_t{256} << 20);

  void set_faults(const MemoryFaults& faults, Random* random);
  /// How often each fault was met, by name: shows that a run provoked what it meant to.
  std::map<std::string, std::uint64_t> fault_counts() const;

  // What may happen to topics. Naming one that is not there does nothing.
  void make_topic(const std::string& topic);
  void delete_topic(const std::string& topic);  // readers lose their cursors, also when it is made again
  void truncate_front(const std::string& topic, Offset first_kept);
  void truncate_back(const std::string& topic, Offset first_lost);  // a reader behind the end may not notice
  void replace_cluster();                                           // no topics, another Kafka cluster id
  void move_to_mirror();                                     // the same topics, another Kafka cluster id
  void inject(const std::string& topic, std::string bytes);  // as by a stranger
  void flip_bit(const std::string& topic, Offset offset, std::size_t bit);

  // What a test or an oracle looks at.
  std::vector<std::string> topics() const;
  std::vector<Record> records(const std::string& topic, Offset from = {}) const;

 private:
  friend class MemoryLog;
  friend class MemoryAppender;
  friend class MemoryReader;
  template <class T>
  friend class MemoryPending;

  struct Stored {
    std::string bytes;
    std::int64_t taken = 0;
  };
  struct Topic {
    std::uint64_t life = 0;  // which making of the topic this is
    std::int64_t first = 0;  // offset of records[0]
    std::deque<Stored> records;
    std::size_t bytes = 0;
    bool for_ever = false;
    std::int64_t end() const { return first + static_cast<std::int64_t>(records.size()); }
  };
  /// Calls the owner of a MemoryLog, until that log is gone.
  struct Waker {
    std::mutex mutex;
    std::function<void()> call;
    void operator()() {
      std::lock_guard lock(mutex);
      if (call) call();
    }
  };
  struct LateRecord {
    std::string topic;
    std::string bytes;
  };

  // Under the lock:
  bool chance(double probability, const char* fault);
  std::uint64_t draw(std::uint64_t below);
  Topic* find(const std::string& topic);
  Topic& make(const std::string& topic, bool for_ever);
  Offset write(Topic& topic, std::string_view bytes);  // where it stands
  void some_late_records_arrive();

  /// To be called after the lock: wakers that watch were copied under it.
  static void wake(const std::vector<std::shared_ptr<Waker>>& wakers) {
    for (const auto& waker : wakers) (*waker)();
  }

  mutable std::mutex mutex_;
  const std::size_t retained_bytes_;
  std::map<std::string, Topic> topics_;
  std::vector<std::shared_ptr<Waker>> wakers_;
  std::deque<LateRecord> late_;
  std::uint64_t lives_ = 0;
  std::int64_t written_ = 0;  // records, ever: stands for the time at which the next one is taken
  std::uint64_t cluster_ = 1;
  MemoryFaults faults_;
  Random* random_ = nullptr;
  std::map<std::string, std::uint64_t> fault_counts_;
};

}  // namespace refrain::replication
