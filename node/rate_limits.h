// SPDX-License-Identifier: Apache-2.0
// A namespace's rate of new claims and writes, as limits.rate sets it. Replays, completes and reads are free.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "node/config.h"
#include "node/node.h"
#include "resilience/token_bucket.h"

namespace refrain::node {

/// Pure. One thread.
class RateLimits {
 public:
  explicit RateLimits(const std::map<std::string, RateLimit>& rates) {
    for (const auto& [ns, rate] : rates)
      buckets_.emplace(ns, resilience::TokenBucket(rate.per_second, rate.burst));
  }

  /// How many claims or writes of each namespace a call makes.
  using Wanted = std::map<std::string, std::uint64_t>;

  /// All of it or nothing: 429 rate_limited, with when to come again, when a namespace has used up its rate.
  Result<void> take(const Wanted& wanted, SteadyNs now) {
    for (const auto& [ns, count] : wanted) {
      auto found = buckets_.find(ns);
      if (found == buckets_.end()) continue;
      Nanoseconds wait = found->second.wait(now, count);
      if (wait.count() > 0) return limited(ns, wait);
    }
    for (const auto& [ns, count] : wanted) {
      if (auto found = buckets_.find(ns); found != buckets_.end()) found->second.take(now, count);
    }
    return {};
  }
  Result<void> take(const std::string& ns, SteadyNs now) { return take(Wanted{{ns, 1}}, now); }
  /// One for each write, in its own namespace.
  Result<void> take(const std::vector<Write>& writes, SteadyNs now) {
    if (buckets_.empty()) return {};
    Wanted wanted;
    for (const Write& write : writes) ++wanted[write.ns];
    return take(wanted, now);
  }

 private:
  static Error limited(const std::string& ns, Nanoseconds wait) {
    Error error = unavailable(
        "rate_limited",
        "The namespace " + ns + " is over its rate (limits.rate). Nothing happened; repeat the call later.");
    error.retry_after_ms = std::chrono::ceil<Milliseconds>(wait).count();
    return error;
  }

  std::map<std::string, resilience::TokenBucket> buckets_;
};

}  // namespace refrain::node
