// SPDX-License-Identifier: Apache-2.0
// The small rows of family `default`, by name. Readers take any View; writers take the running Draft. A row
// that cannot be read is kCorrupt, never "none". Every row begins with its format number (1).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "store/draft.h"
#include "store/engine.h"
#include "store/operations.h"

namespace refrain::store {

/// Whose directory this is. Written at birth.
struct Identity {
  ClusterId cluster;  // 0 until the node has joined or founded one
  NodeName node;
  Incarnation incarnation;
  bool standalone = false;  // made without brokers
  std::vector<Incarnation>
      former;                // earlier incarnations that this directory started over from, oldest first
  Incarnation next;          // what it rejoins as; 0 = it does not
  bool rolled_back = false;  // it was found older than its own journal; only rejoining mends it
  bool installing = false;   // a snapshot is half in: everything but this row must go
  bool operator==(const Identity&) const = default;
};

/// The newest tick applied of a journal, and where in that journal it stood.
struct StoredTick {
  Seq seq;
  Hlc hlc;
  Tick tick;
  bool operator==(const StoredTick&) const = default;
};

/// Where to go on reading a topic, and in which Kafka cluster that means something.
struct ReadCursor {
  Offset next;
  std::string kafka_cluster_id;
  bool operator==(const ReadCursor&) const = default;
};

/// The newest entry of the members log as it stood there when the log was last known to be as all members had
/// counted it: its n, and when the log took it (ms; 0 = not known). None yet: n = 0.
struct AgreedEntry {
  std::uint64_t n = 0;
  std::int64_t taken = 0;
  bool operator==(const AgreedEntry&) const = default;
};

struct Meta {
  static Result<std::optional<Identity>> identity(const View& view);
  static void set_identity(Draft& draft, const Identity& identity);

  static Result<Hlc> hlc(const View& view);  // newest minted or met; 0 = none
  static void set_hlc(Draft& draft, Hlc hlc);
  static Result<Seq> published(const View& view);
  static void set_published(Draft& draft, Seq seq);
  static Result<Seq> synced(const View& view);
  static void set_synced(Draft& draft, Seq seq);
  /// The newest own commit before those that were written while nobody knew whether the directory is older
  /// than its journal. nullopt: there are none of these.
  static Result<std::optional<Applied>> unproven(const View& view);
  static void set_unproven(Draft& draft, const Applied& before);
  static void remove_unproven(Draft& draft);
  static Result<Hlc> floor(const View& view);
  static void set_floor(Draft& draft, Hlc floor);

  static Result<AppliedTable> applied(const View& view);
  static void set_applied(Draft& draft, const Journal& journal, Applied applied);
  static Result<std::map<Journal, StoredTick>> ticks(const View& view);
  static void set_tick(Draft& draft, const Journal& journal, const StoredTick& tick);

  static Result<std::map<NodeName, ReadCursor>> cursors(const View& view);
  static void set_cursor(Draft& draft, const NodeName& journal, const ReadCursor& cursor);
  static void remove_cursor(Draft& draft, const NodeName& journal);

  /// The members log's counted entries, as written, from n = 1 on without a hole.
  static Result<std::vector<std::string>> members(const View& view);
  static void set_member(Draft& draft, std::uint64_t n, const std::string& bytes);
  static void remove_member(Draft& draft, std::uint64_t n);

  /// n = 0: none is kept.
  static Result<AgreedEntry> members_agreed(const View& view);
  static void set_members_agreed(Draft& draft, const AgreedEntry& agreed);
  /// The newest entry of the members log that this node wrote, or is about to: sent again as it is after a
  /// crash.
  static Result<std::optional<std::string>> own_entry(const View& view);
  static void set_own_entry(Draft& draft, const std::string& bytes);

  /// A node's own word about an ended incarnation, kept before it is sent; binding until another entry stands
  /// at n.
  struct Word {
    Seq seq;
    std::uint64_t n = 0;
    bool operator==(const Word&) const = default;
  };
  static Result<std::map<Journal, Word>> words(const View& view);
  static void set_word(Draft& draft, const Journal& journal, const Word& word);
  static void remove_word(Draft& draft, const Journal& journal);
};

}  // namespace refrain::store
