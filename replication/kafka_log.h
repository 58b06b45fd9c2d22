// SPDX-License-Identifier: Apache-2.0
// The log on Kafka, by librdkafka. Kafka that is slow, away or wrong shows as missing reports, as Unreachable
// and in health(); no call waits for it.
//
// Threads: one thread calls the log and what it opened, save health() and gauges() (any thread). `wake` and
// `log` are called from threads of librdkafka and of ours: they must be quick and must not call back into the
// log. What the log opened may outlive it, but the process should end only after all of it is gone: the last
// one to go waits for librdkafka's threads, about a second when brokers are down.
//
// Crash: nothing is kept here. What was appended and not reported may or may not have been written.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "replication/log.h"

namespace refrain::replication {

struct KafkaOptions {
  std::vector<std::string> brokers;  // host:port
  std::string client_id = "refrain";
  std::map<std::string, std::string>
      properties;          // of librdkafka: security, tuning; none that carries_guarantee()
  Milliseconds linger{1};  // how long an append waits for others to share its request
};

/// Severity as of syslog: 3 error, 4 warning, 6 info, 7 debug.
using KafkaLogLine = std::function<void(int severity, std::string_view text)>;

/// Properties that a user may not set, because our promises stand on them (acks, idempotence, offset reset,
/// ...) or because they are said elsewhere (brokers).
bool carries_guarantee(std::string_view property);

/// Why librdkafka does not take this property ("No such configuration property: ..."), none = it does. What
/// passes may still not fit together, or name a file that is not there: open() says so.
std::optional<std::string> refused_by_librdkafka(const std::string& property, const std::string& value);

class KafkaLog final : public Log {
 public:
  /// `invalid` when a property is unknown, has a value that librdkafka does not take, or carries a guarantee.
  /// Kafka need not be reachable.
  static Result<std::unique_ptr<KafkaLog>> open(const KafkaOptions& options, std::function<void()> wake,
                                                KafkaLogLine log);
  ~KafkaLog() override;

  /// Reports as the seam promises. A topic that does not exist is reported failed after about 3 s.
  std::unique_ptr<Appender> open_appender(const std::string& topic) override;
  /// Any number of readers of one topic at a time. CursorLost also when the topic does not exist (within
  /// about 3 s): open again later. Holds up to 64 MiB of a topic that is read slower than it comes.
  std::unique_ptr<Reader> open_reader(const std::string& topic, std::optional<Offset> from) override;
  /// Topic calls are answered, if need be with `unavailable`, within about 10 s.
  std::unique_ptr<Pending<void>> ensure_topic(const TopicSpec& spec) override;
  std::unique_ptr<Pending<std::vector<TopicInfo>>> survey(const std::string& prefix) override;
  /// As of the newest probe, at most a few seconds old.
  LogHealth health() const override;
  std::vector<std::pair<std::string, double>> gauges() const override;

  struct Core;  // what the log and those that it opened share

 private:
  explicit KafkaLog(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace refrain::replication
