// SPDX-License-Identifier: Apache-2.0
// The log in process: one MemoryLog a node, all on one MemoryBroker, whose header has the fault model.
// Deterministic when one thread uses all nodes. What a Log opened may outlive it.
#pragma once
#include <functional>
#include <memory>

#include "replication/log.h"
#include "replication/memory_broker.h"

namespace refrain::replication {

class MemoryLog final : public Log {
 public:
  /// `wake` is called without a lock of ours, by whoever writes to any topic or mends the connection. It must
  /// not call back into the log.
  MemoryLog(std::shared_ptr<MemoryBroker> broker, std::function<void()> wake);
  ~MemoryLog() override;

  /// False: this node's region is cut off. Appends wait, readers say Unreachable, topic calls fail. Any
  /// thread.
  void set_connected(bool connected);
  /// True: what this node sends arrives, but nothing comes back: no report, no record, no answer. Any thread.
  void set_deaf(bool deaf);

  std::unique_ptr<Appender> open_appender(const std::string& topic) override;
  std::unique_ptr<Reader> open_reader(const std::string& topic, std::optional<Offset> from) override;
  std::unique_ptr<Pending<void>> ensure_topic(const TopicSpec& spec) override;
  std::unique_ptr<Pending<std::vector<TopicInfo>>> survey(const std::string& prefix) override;
  LogHealth health() const override;

  /// What this log and those that it opened share.
  struct Link {
    std::shared_ptr<MemoryBroker> broker;
    std::shared_ptr<MemoryBroker::Waker> waker;
    bool connected = true;  // under the broker's lock, as the next
    bool deaf = false;
    bool hears() const { return connected && !deaf; }
  };

 private:
  std::shared_ptr<Link> link_;
};

}  // namespace refrain::replication
