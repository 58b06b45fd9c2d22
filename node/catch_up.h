// SPDX-License-Identifier: Apache-2.0
// After a start: a go for an absent id is given only once the journals' ends of that moment have been passed,
// for a node that was away must not say go for what another region has done. A journal that is silent or
// parked when patience is over is not waited for; the go names it.
#pragma once
#include <map>
#include <set>
#include <vector>

#include "base/types.h"

namespace refrain::node {

/// Pure. One thread.
class CatchUp {
 public:
  static constexpr Milliseconds kPatience{10'000};

  explicit CatchUp(SteadyNs started) : started_(started) {}

  /// Names the journals that must be read; a name that is gone no longer counts. Call whenever members
  /// change.
  void expect(const std::set<NodeName>& journals) {
    for (const NodeName& name : journals) {
      if (!seen_.contains(name)) seen_.emplace(name, false);
    }
    std::erase_if(seen_, [&](const auto& entry) { return !journals.contains(entry.first); });
  }

  /// The journal was read to an end that it had after the start.
  void passed(const NodeName& journal) {
    auto found = seen_.find(journal);
    if (found != seen_.end()) found->second = true;
  }

  std::vector<NodeName> missing() const {
    std::vector<NodeName> names;
    for (const auto& [name, passed] : seen_) {
      if (!passed) names.push_back(name);
    }
    return names;
  }

  bool patience_is_over(SteadyNs now) const { return now - started_ >= kPatience; }
  SteadyNs patience_ends() const { return started_ + kPatience; }

 private:
  SteadyNs started_;
  std::map<NodeName, bool> seen_;
};

}  // namespace refrain::node
