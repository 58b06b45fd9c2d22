// SPDX-License-Identifier: Apache-2.0
// What a node has, row by row, for comparing it with another: worked out from the rows, never from the
// digest.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/types.h"
#include "store/engine.h"

namespace refrain::store {

struct ComparedRow {
  std::string ns;
  std::string key;  // of a request its id
  Version version;  // of a request that of its outcome
  Hash128 hash;     // of the value, of the outcome
  bool deleted = false;
  std::optional<WallMs> expires_at;  // of a request: until then it is remembered
  bool operator==(const ComparedRow&) const = default;
};

struct ComparedRows {
  bool requests = false;               // completed requests; else kv, tombstones and expired rows too
  std::vector<std::uint32_t> buckets;  // kv rows of these only; none = of all
  std::string ns;                      // only these; empty = of all
  std::optional<std::string> key;      // this one alone, with its ns
  std::string after;                   // what a page gave; empty = from the first
  std::size_t limit = 100;
};

struct ComparedPage {
  std::vector<ComparedRow> items;    // in bytewise order of ns, then key
  std::optional<std::string> after;  // where to go on; none = the end
};

/// Bounded work: it passes at most 5,000 rows. kInvalid for an `after` that no page gave; kCorrupt, and
/// named, when a row cannot be read.
Result<ComparedPage> list_compared(const View& cut, const ComparedRows& wanted);

}  // namespace refrain::store
