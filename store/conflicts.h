// SPDX-License-Identifier: Apache-2.0
// The list of conflicts: two versions of one key of which neither writer had seen the other. The same ids on
// every node. Bounded by age and bytes; what it drops is counted.
//
// Open are the versions that the key's current one had not seen and that nothing else has overwritten since:
// the key's unseen siblings. That set is the same on every node that has applied the same commits, in
// whatever order they came. Which pairs a node met on the way there (and lists as closed) depends on the
// order.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "store/draft.h"
#include "store/engine.h"

namespace refrain::store {

struct KvRecord;

struct ConflictLimits {
  Milliseconds max_age{30LL * 86'400'000};
  std::uint64_t max_bytes = 1ULL << 30;
  std::uint64_t value_cap_bytes = 64 * 1024;
};

struct ConflictVersion {
  Version version;
  bool deleted = false;
  bool truncated = false;  // the value was longer than the cap
  std::string value;
  bool operator==(const ConflictVersion&) const = default;
};

struct Conflict {
  std::string id;  // 32 hex digits
  std::string ns;
  std::string key;
  ConflictVersion winner;  // the larger version
  ConflictVersion loser;
  WallMs detected_at;
  bool operator==(const Conflict&) const = default;
};

struct ListedConflict {
  Conflict conflict;
  bool open = false;
};
struct ConflictPage {
  std::vector<ListedConflict> items;
  std::optional<std::string> after;  // opaque; none = the end
};

std::string conflict_id(std::string_view ns, std::string_view key, const Version& a, const Version& b);
std::string encode(const Conflict& conflict);
std::optional<Conflict> decode_conflict(std::string_view bytes);

/// Family `conflicts`: `i` id -> conflict; `t` time id; `k` ns 0 key 0 id; `o` ns 0 key -> the current
/// version and the losers of its open conflicts; `d` -> how many were dropped. One thread for all that takes
/// a Draft; the static reads from any.
class ConflictLog {
 public:
  struct Stats {
    std::uint64_t kept = 0;
    std::uint64_t bytes = 0;
    std::uint64_t open = 0;
    std::uint64_t dropped = 0;  // since the directory was made
    bool operator==(const Stats&) const = default;
  };

  explicit ConflictLog(ConflictLimits limits) : limits_(limits) {}

  /// Counts what is there, in one pass.
  Result<void> load(const View& view);

  /// Takes in that `incoming` was merged with `before`, the key's record until now: keeps their conflict when
  /// they are concurrent, carries open ones over to a new winner that had not seen their losers, and closes
  /// those whose loser was seen. True = the two are a conflict that was not known.
  Result<bool> merged(Draft& draft, const std::string& ns, const std::string& key, const KvRecord& incoming,
                      const KvRecord& before, WallMs now);
  /// Drops at most `most` of those that are too old or too many.
  Result<void> expire(Draft& draft, WallMs now, std::size_t most);

  const Stats& stats() const { return stats_; }
  void restore(const Stats& stats) { stats_ = stats; }

  static Result<std::optional<Conflict>> get(const View& view, std::string_view id);
  /// How many are open for a key whose current version is `current`.
  static Result<std::uint64_t> open_for(const View& view, std::string_view ns, std::string_view key,
                                        const Version& current);
  static Result<bool> is_open(const View& view, const Conflict& conflict);
  /// Whether one is open for a key whose current version is `current`; no read while there is none at all.
  Result<bool> is_open_at(const Draft& draft, std::string_view ns, std::string_view key,
                          const Version& current) const;
  /// In order of id; of one namespace or key, where these are given, in order of key. kInvalid for an `after`
  /// that no page gave. Bounded work: a page looks at 10,000 conflicts at the most and may be short.
  static Result<ConflictPage> list(const View& view, std::string_view ns, std::string_view key,
                                   std::string_view after, bool only_open, std::size_t limit);

 private:
  Result<bool> keep(Draft& draft, const std::string& ns, const std::string& key,
                    const ConflictVersion& winner, const ConflictVersion& loser, WallMs now);
  Result<void> forget(Draft& draft, const Conflict& conflict);
  ConflictLimits limits_;
  Stats stats_;
};

}  // namespace refrain::store
