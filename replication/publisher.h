// SPDX-License-Identifier: Apache-2.0
// Sends a node's own commits to its topic: in seq order, again and again, until Kafka has acknowledged each
// of them.
//
// Promise: after any failure, and any behaviour of the log, the topic without repeated seqs is the outbox in
// order, and published() never says more than Kafka has acknowledged. What fails is never sent alone: the
// appender is destroyed and the whole suffix from the first unacknowledged commit goes again through a new
// one. Records may stand in the topic twice; readers drop them by seq. Nothing here blocks, waits or reads a
// clock; one thread. Nothing is stored: after a crash start() again from what was stored of published(); too
// low only sends again.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"
#include "replication/log.h"
#include "resilience/circuit_breaker.h"
#include "resilience/retry_policy.h"

namespace refrain::replication {

struct OutboxRow {
  Seq seq;
  std::string bytes;
};

/// The outbox rows from the first one >= `from` on, without holes, at most that many; at least one when there
/// is one, however large. Empty when there is none.
using ReadOutbox =
    std::function<Result<std::vector<OutboxRow>>(Seq from, std::size_t max_count, std::size_t max_bytes)>;

struct PublisherSettings {
  std::string topic;
  std::size_t window = 10'000;  // records in flight
  Milliseconds attempt_timeout{10'000};
  resilience::RetryPolicy retry;
  resilience::CircuitBreaker::Policy breaker;
  std::size_t held_bytes = std::size_t{16}
                           << 20;  // of commits kept in memory; older ones are read from the outbox
};

/// For status and events. Times are those passed to step().
struct PublisherReport {
  Seq published;
  Seq newest;  // offered
  std::size_t in_flight = 0;
  resilience::CircuitBreaker::State breaker = resilience::CircuitBreaker::State::kClosed;
  std::optional<resilience::CircuitBreaker::Trouble> trouble;  // last error, since when, how many in a row
  std::optional<SteadyNs> next_attempt;                        // while it pauses or the breaker is open

  /// Unpublished commits are `failed` rather than `pending`.
  bool failed() const { return breaker == resilience::CircuitBreaker::State::kOpen; }
};

class Publisher {
 public:
  /// `log` and `random` outlive it. `outbox` is called from step() only.
  Publisher(Log& log, PublisherSettings settings, Random& random, ReadOutbox outbox);

  /// Once, before anything else: what was stored, and the newest synced commit.
  void start(Seq published, Seq newest);

  /// The journal begins again, of a new incarnation: what was to be sent is not.
  void start_over(Seq published, Seq newest);

  /// A commit that was just synced; the one after the newest. Cheap, never refused.
  void offer(Seq seq, std::string bytes);

  /// False (as at the start): nothing is sent, and what is in flight is dropped. The node allows it when it
  /// has read its own journal to the end and the topic is empty or of its own cluster.
  void set_allowed(bool allowed);

  /// Our own topic was read and holds everything up to here.
  void found_in_topic(Seq up_to);

  /// A peer lacks our commits from here on: all from here on are sent again, behind what is under way.
  /// Without effect, and false, while a sending again that covers it still runs. published() falls: Kafka may
  /// have lost them.
  bool republish_from(Seq first_missing);

  /// An operator's word: no more pause, and an open breaker half-opens.
  void retry_now();

  /// Takes what reports have come and sends what may be sent. True when published() changed.
  bool step(SteadyNs now);

  /// When step() has something to do although nothing new comes in: end of a pause or of an attempt. None =
  /// nothing.
  std::optional<SteadyNs> wakes_at(SteadyNs now) const;

  /// Everything up to this is acknowledged by Kafka (or was stable, and left the outbox).
  Seq published() const { return published_; }
  /// Where the record of published() stands in the topic; none while that is not known.
  std::optional<Offset> published_at() const { return published_at_; }
  PublisherReport report(SteadyNs now) const;

 private:
  struct Sent {
    Seq seq;
    bool acknowledged = false;
    std::optional<Offset> at;  // of an acknowledged one, when that is known
    bool counts = true;        // false: sent before a republish_from(), which sends it again
  };

  void take_reports(SteadyNs now);
  bool take(const DeliveryReport& report, SteadyNs now);
  void drop_acknowledged();
  void fail(SteadyNs now, std::string reason);
  void send(SteadyNs now);
  bool may_send(SteadyNs now) const;
  std::size_t room(SteadyNs now) const;
  bool fill(SteadyNs now);
  Result<std::vector<OutboxRow>> read_outbox(std::size_t max_count) const;
  void skip_to(Seq first_kept);
  void go_back_to(Seq next);
  void clear_flight();
  bool all_sent() const { return next_ > newest_; }

  Log& log_;
  const PublisherSettings settings_;
  Random& random_;
  const ReadOutbox outbox_;
  resilience::CircuitBreaker breaker_;

  bool allowed_ = false;
  Seq published_;
  std::optional<Offset> published_at_;
  Seq newest_;
  Seq next_{1};                  // the next to be sent
  std::deque<OutboxRow> ready_;  // next_, next_ + 1, ... as far as held in memory
  std::size_t ready_bytes_ = 0;
  std::optional<Seq> republish_until_;  // a sending again runs until this is acknowledged
  Seq republish_from_;

  std::unique_ptr<Appender> appender_;
  std::deque<Sent> flight_;
  std::uint64_t first_tag_ =
      1;                  // of flight_[0]. Never given twice, so a report of an old appender cannot count
  SteadyNs progress_at_;  // last acknowledgement, or when the flight began
  std::optional<SteadyNs> paused_until_;
  std::vector<DeliveryReport> reports_;
};

}  // namespace refrain::replication
