// SPDX-License-Identifier: Apache-2.0
// The log seam: topics of one partition. Kafka behind it in production (kafka_log.h), an in-process broker in
// demo, tests and simulation (memory_log.h). Both pass tests/contract.
//
// Nothing here blocks, and nothing throws. One thread calls a Log and what it opened. Work goes on behind it;
// the wake callback given at construction is called (any thread) when a poll would find something new.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace refrain::replication {

/// What became of one append. Reports of one Appender come in the order of its appends, unless the log is
/// faulty.
struct DeliveryReport {
  std::uint64_t tag = 0;
  std::optional<std::string> error;  // none = acknowledged by all in-sync replicas
  std::optional<Offset> offset;      // of an acknowledged one: where it stands, when Kafka said so
};

/// Writes one topic, in order, idempotently, acks=all. Destroying it drops what is in flight: those records
/// may or may not have been written. After an error report or fatal() the owner destroys it and opens a new
/// one.
class Appender {
 public:
  virtual ~Appender() = default;
  /// False when the buffer is full: call again after reports came.
  virtual bool append(std::uint64_t tag, std::string_view bytes) = 0;
  /// Appends the reports that have come to `out`.
  virtual void poll(std::vector<DeliveryReport>& out) = 0;
  /// Set once the appender is of no more use.
  virtual std::optional<std::string> fatal() const = 0;
};

struct Record {
  Offset offset;
  std::string bytes;
  /// When the topic took it, in ms; 0 = not known. Another one when the same bytes were written again.
  std::int64_t taken = 0;
};
/// Everything that was in the topic at some moment has been given; `next` is where reading goes on.
struct AtEnd {
  Offset next;
};
/// The cursor means nothing any more (out of range, topic gone or made anew, another Kafka cluster). The
/// reader gives nothing more: open a new one at the beginning.
struct CursorLost {
  std::string reason;
};
/// Cannot read for now; the reader keeps trying. Given once per change of the reason.
struct Unreachable {
  std::string reason;
};
using ReadEvent = std::variant<Record, AtEnd, CursorLost, Unreachable>;

/// Reads one topic from an offset on. Bounded: holds at most a few MiB, and stops fetching while nobody
/// polls.
class Reader {
 public:
  virtual ~Reader() = default;
  /// Appends at most `max` events to `out`, in order.
  virtual void poll(std::size_t max, std::vector<ReadEvent>& out) = 0;
};

struct TopicSpec {
  std::string name;
  Milliseconds retention{0};  // negative: kept for ever
  int replication_factor = 1;
  int min_insync_replicas = 1;
};

struct TopicInfo {
  std::string name;
  bool has_records =
      false;  // low watermark < high watermark, or high watermark > 0: something was written once
};

/// An answer that is not there yet. take() gives it once.
template <class T>
class Pending {
 public:
  virtual ~Pending() = default;
  virtual std::optional<Result<T>> take() = 0;
};

/// State of the connection as a whole, for status: the cause first.
struct LogHealth {
  bool reachable = true;
  std::string reason;            // the newest error when not reachable
  std::string kafka_cluster_id;  // empty until known
};

class Log {
 public:
  virtual ~Log() = default;
  virtual std::unique_ptr<Appender> open_appender(const std::string& topic) = 0;
  /// Gives CursorLost when `from` is outside the topic. No `from` = the beginning, wherever it is.
  virtual std::unique_ptr<Reader> open_reader(const std::string& topic, std::optional<Offset> from) = 0;
  /// Makes the topic when it is missing (one partition, cleanup.policy=delete, LogAppendTime); ok when it
  /// exists.
  virtual std::unique_ptr<Pending<void>> ensure_topic(const TopicSpec& spec) = 0;
  /// The topics whose names begin with `prefix`.
  virtual std::unique_ptr<Pending<std::vector<TopicInfo>>> survey(const std::string& prefix) = 0;
  virtual LogHealth health() const = 0;
  /// Gauges for /metrics, by metric name part.
  virtual std::vector<std::pair<std::string, double>> gauges() const { return {}; }
};

}  // namespace refrain::replication
