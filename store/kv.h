// SPDX-License-Identifier: Apache-2.0
// The key-value family: one record a key, the largest version wins, and what lost without having been seen is
// a conflict.
//
// Which versions of a key a writer had seen stands in the record's `ctx` (a version vector of the key: Parker
// et al., 1983; one entry a node, the writer's own left out), below the writer's floor everything had been
// seen.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "store/conflicts.h"
#include "store/draft.h"
#include "store/engine.h"
#include "store/operations.h"

namespace refrain::store {

struct KvRecord {
  Version version;
  Hlc floor;             // of the winner's writer
  Context ctx;           // never names the winner's node
  bool deleted = false;  // a tombstone
  std::optional<WallMs> expires_at;
  std::string value;

  bool visible(WallMs now) const { return !deleted && (!expires_at || now < *expires_at); }
  bool operator==(const KvRecord&) const = default;
};

std::string kv_key(std::string_view ns, std::string_view key);                     // ns 0x00 key
std::pair<std::string_view, std::string_view> split_kv_key(std::string_view row);  // ns, key
std::string encode(const KvRecord& record);
std::optional<KvRecord> decode_kv(std::string_view bytes);

/// By its flags alone: a row that is no tombstone and never expires. False for what cannot be read.
bool always_stays(std::string_view bytes);

/// What decides a read, where it stands in a row's bytes: nothing is copied.
struct KvFields {
  Hlc hlc;
  std::string_view node;
  bool deleted = false;
  std::optional<WallMs> expires_at;
  std::string_view value;
};
std::optional<KvFields> kv_fields(std::string_view bytes);
Error unreadable_kv(std::string_view ns, std::string_view key);  // kCorrupt, and what to do

/// Of which neither writer had seen the other. Exact, and symmetric.
bool concurrent(const KvRecord& e, const KvRecord& c);

/// Both records made one: the larger version with the joined context. Commutative, associative, idempotent in
/// what it keeps. Nothing when it is the same version with different content: a cloned data directory; never
/// pick one.
std::optional<KvRecord> join(const KvRecord& a, const KvRecord& b);

struct MergeResult {
  bool won = false;  // the incoming record is the key's now
  bool conflict = false;
  bool cloned = false;  // one version, two contents: nothing was changed
};

/// Merges a Put or a Delete of `commit` into the draft, and records the conflict when there is one. `floor`
/// is this node's own: a row that is written again keeps no context at or below it. Whatever lies there is a
/// duplicate when it comes, and this node's own commits say by their floor that they have seen it. So of two
/// nodes' rows, version, value and end are always equal, but contexts only above both nodes' floors.
Result<MergeResult> merge(Draft& draft, const Put& put, const Commit& commit, ConflictLog& conflicts,
                          WallMs now, Hlc floor = {});
Result<MergeResult> merge(Draft& draft, const Delete& del, const Commit& commit, ConflictLog& conflicts,
                          WallMs now, Hlc floor = {});

/// The key's record, tombstones and expired ones too.
Result<std::optional<KvRecord>> read_record(const Draft& draft, std::string_view ns, std::string_view key);
Result<std::optional<KvRecord>> read_record(const View& view, std::string_view ns, std::string_view key);

/// What a write at `node` of a key with this record has seen.
Context context_for_write(const std::optional<KvRecord>& current, const NodeName& node);

/// Drops what was seen at or below a floor.
void forget_up_to(Hlc floor, Context& ctx);

struct KvItem {
  std::string key;
  KvRecord record;
};
struct KvPage {
  std::vector<KvItem> items;
  std::optional<std::string> after;  // where to go on; none = the end. A page may be short, even empty
};
/// Visible records whose keys begin with `prefix`, bytewise, after `after` (exclusive), at most `limit` and
/// about `most_bytes`. One state. Bounded work: of rows that are not visible it passes 10,000 a page.
Result<KvPage> scan(const View& view, std::string_view ns, std::string_view prefix, std::string_view after,
                    std::size_t limit, std::size_t most_bytes, WallMs now);

}  // namespace refrain::store
