// SPDX-License-Identifier: Apache-2.0
// This node's own commits, in the exact bytes that go to Kafka, kept until every member has them.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "store/draft.h"
#include "store/engine.h"

namespace refrain::store {

struct OutboxRow {
  Seq seq;
  std::string bytes;
};

/// A commit that is void, in the bytes in which it was written.
struct AsideRow {
  Incarnation incarnation;
  Seq seq;
  std::string bytes;
};

/// From where on an incarnation's commits are void, and the newest own commit that their writer had seen
/// before them.
struct VoidStart {
  Seq from;
  Hlc seen_own;
  bool operator==(const VoidStart&) const = default;
};

/// Family `outbox`: seq big-endian -> bytes. One thread. Counts are kept beside the draft: restore them with
/// the books when a batch is not written.
class Outbox {
 public:
  struct Stats {
    std::uint64_t commits = 0;
    std::uint64_t bytes = 0;
    std::optional<Seq> lowest;
    Seq next{1};  // behind the newest that was ever appended
    bool operator==(const Stats&) const = default;
  };

  /// Reads the counts. A store that has none, or some that another program left behind, is counted, in one
  /// pass.
  Result<void> load(const View& view);
  /// Keeps the counts, with the rows that they count: put_counts() belongs in every batch that changes them.
  void put_counts(Draft& draft) const;

  void append(Draft& draft, Seq seq, std::string bytes);
  /// Removes rows up to and with `seq`, at most `most` of them.
  Result<void> drop_up_to(Draft& draft, Seq seq, std::size_t most);
  const Stats& stats() const { return stats_; }
  void restore(const Stats& stats) { stats_ = stats; }

  /// Written rows only. `most_bytes` is passed by at most one row.
  static Result<std::vector<OutboxRow>> read(const View& view, Seq from, std::size_t most,
                                             std::size_t most_bytes);
  static Result<std::optional<std::string>> get(const View& view, Seq seq);

  /// Moves written rows from `from` on to the void commits, at most `most` of them and about 4 MiB; those
  /// that are not `worth` keeping (ticks) only leave. True when there may be more.
  using Worth = std::function<bool(std::string_view bytes)>;
  Result<bool> move_aside(Draft& draft, Incarnation incarnation, Seq from, std::size_t most,
                          const Worth& worth);
  /// Commits that are void, kept for export.
  static void keep_aside(Draft& draft, Incarnation incarnation, Seq seq, const std::string& bytes);
  static Result<std::uint64_t> count_aside(const View& view);
  /// In order of incarnation and seq, behind the given one. `most_bytes` is passed by at most one row.
  static Result<std::vector<AsideRow>> read_aside(const View& view, Incarnation incarnation, Seq after,
                                                  std::size_t most, std::size_t most_bytes);
  /// Kept beside the void commits, in the place of a seq 0.
  static void set_void_start(Draft& draft, Incarnation incarnation, const VoidStart& start);
  /// nullopt when it is not known.
  static Result<std::optional<VoidStart>> void_start(const View& view, Incarnation incarnation);
  static Result<bool> is_aside(const View& view, const CommitId& commit);

 private:
  static Result<std::optional<Stats>> read_counts(const View& view);
  Stats stats_;
};

}  // namespace refrain::store
