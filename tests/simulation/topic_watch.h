// SPDX-License-Identifier: Apache-2.0
// Follows a journal's topic and knows up to which seq a reader of it has everything, by the rule that a
// commit counts when it is the next one. Means nothing once records were lost.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/types.h"
#include "replication/memory_broker.h"

namespace refrain::simulation {

class TopicWatch {
 public:
  explicit TopicWatch(NodeName node) : node_(std::move(node)) {}

  /// Takes in what was not seen before; all of it, or what stands below `end`.
  void look(const replication::MemoryBroker& broker, const std::string& topic,
            std::optional<Offset> end = std::nullopt);
  const std::map<Incarnation, Seq>& whole() const { return whole_; }
  Seq whole(Incarnation incarnation) const {
    auto found = whole_.find(incarnation);
    return found == whole_.end() ? Seq{} : found->second;
  }
  /// The newest commit that was ever in the topic.
  Seq newest(Incarnation incarnation) const {
    auto found = newest_.find(incarnation);
    return found == newest_.end() ? Seq{} : found->second;
  }
  /// The topic was lost, or begins anew: looks at all of it again.
  void again() { next_ = 0; }

 private:
  NodeName node_;
  std::int64_t next_ = 0;
  std::map<Incarnation, Seq> whole_;
  std::map<Incarnation, Seq> newest_;
};

}  // namespace refrain::simulation
