// SPDX-License-Identifier: Apache-2.0
#include "topic_watch.h"

#include <algorithm>

#include "programs.h"
#include "replication/codec.h"

namespace refrain::simulation {

void TopicWatch::look(const replication::MemoryBroker& broker, const std::string& topic,
                      std::optional<Offset> end) {
  for (const replication::Record& record : broker.records(topic, {next_})) {
    if (end && record.offset >= *end) return;
    next_ = record.offset.value + 1;
    auto decoded = replication::decode(record.bytes, node_, kNextProgram.max);
    if (!decoded) continue;
    Seq& newest = newest_[decoded->commit.incarnation];
    newest = std::max(newest, decoded->commit.seq);
    Seq& whole = whole_[decoded->commit.incarnation];
    if (decoded->commit.seq == whole.next()) whole = decoded->commit.seq;
  }
}

}  // namespace refrain::simulation
