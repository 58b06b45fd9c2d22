// SPDX-License-Identifier: Apache-2.0
// Requests on disk: keys, bytes and lists of the families requests, open, responses and duplicates. What a
// row means is decided in idempotency/.
//
// A request row leaves by a compaction filter once ends_at() has passed, and a response once its
// response_until has: a row past its end may be read or be gone, and both must mean the same.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "store/draft.h"
#include "store/engine.h"
#include "store/operations.h"

namespace refrain::store {

/// An outcome with version and id of the commit that carried it. In a row its body is empty.
struct VersionedOutcome {
  Version version;
  Outcome outcome;
  Incarnation incarnation;
  Seq seq;
  CommitId commit() const { return {version.node, incarnation, seq}; }
  bool operator==(const VersionedOutcome&) const = default;
};

/// The record of one request: three maxima, each joined on its own.
struct RequestRow {
  std::map<NodeName, Claim> claims;  // per node its newest
  std::optional<VersionedOutcome> outcome;
  WallMs seen_until;  // the largest met; 0 without an outcome
  bool operator==(const RequestRow&) const = default;
};

/// When the row means nothing any more and may be dropped by time alone: the latest end of its parts. nullopt
/// = never: an open claim under `hold` binds until it is resolved.
std::optional<WallMs> ends_at(const RequestRow& row);

// ---- requests, open: ns 0x00 id

std::string request_key(std::string_view ns, std::string_view id);
std::string encode_request_row(const RequestRow& row);  // aborts when the outcome has a body
Result<RequestRow> decode_request_row(std::string_view bytes);

/// Through the draft or from a view.
Result<std::optional<RequestRow>> get_request(const Draft& draft, std::string_view ns, std::string_view id);
Result<std::optional<RequestRow>> get_request(const View& view, std::string_view ns, std::string_view id);
void put_request(Draft& draft, std::string_view ns, std::string_view id, const RequestRow& row);

/// Marks a row as having an open claim, or not (any more).
void mark_open(Draft& draft, std::string_view ns, std::string_view id, bool open);

struct RequestId {
  std::string ns;
  std::string id;
  auto operator<=>(const RequestId&) const = default;
};
struct ListedRequest {
  std::string id;
  RequestRow row;
};
/// Rows of one namespace by id, bytewise, after `after` (exclusive; empty = from the first), ended ones
/// included.
Result<std::vector<ListedRequest>> list_requests(const View& view, std::string_view ns,
                                                 std::string_view after, std::size_t limit);
/// Rows marked open, of all namespaces, after `after`. Their request row may be gone: then the mark means
/// nothing.
Result<std::vector<RequestId>> list_open(const View& view, const std::optional<RequestId>& after,
                                         std::size_t limit);

// ---- responses: ns 0x00 id 0x00 version

struct ResponseRow {
  std::uint32_t status = 200;
  std::string content_type;
  WallMs response_until;
  std::string body;
  bool operator==(const ResponseRow&) const = default;
};
std::string response_key(std::string_view ns, std::string_view id, const Version& version);
std::string encode_response(const ResponseRow& row);
Result<ResponseRow> decode_response(std::string_view bytes);
Result<std::optional<ResponseRow>> get_response(const Draft& draft, std::string_view ns, std::string_view id,
                                                const Version& version);
Result<std::optional<ResponseRow>> get_response(const View& view, std::string_view ns, std::string_view id,
                                                const Version& version);
void put_response(Draft& draft, std::string_view ns, std::string_view id, const Version& version,
                  const ResponseRow& row);
void remove_response(Draft& draft, std::string_view ns, std::string_view id, const Version& version);

// ---- duplicates: `i` id; `t` time id; `k` ns 0x00 id 0x00 id

using DuplicateId = Hash128;
/// Over (ns, id, loser), and the winner too when only possible: the same on every node. Text form: 32 hex
/// digits.
DuplicateId duplicate_id(const Duplicate& duplicate);
std::string format_duplicate_id(const DuplicateId& id);

std::string encode_duplicate(const Duplicate& duplicate);
Result<Duplicate> decode_duplicate(std::string_view bytes);

struct ListedDuplicate {
  DuplicateId id;
  Duplicate duplicate;
};
/// Adds it, or joins it with the entry that is there: hashes that one lacks are filled in, the later winner
/// and the earlier detected_at stay, so any order of arrival gives the same row. True = it was new.
Result<bool> put_duplicate(Draft& draft, const Duplicate& duplicate);
Result<std::optional<Duplicate>> get_duplicate(const Draft& draft, const DuplicateId& id);
Result<std::optional<Duplicate>> get_duplicate(const View& view, const DuplicateId& id);

struct DuplicatePage {
  std::vector<ListedDuplicate> items;
  std::optional<std::string> after;  // opaque; none = the end
};
/// By (ns, request id), of one namespace or of all (ns empty); without `possible` only certain ones. kInvalid
/// for an `after` that no page gave.
Result<DuplicatePage> list_duplicates(const View& view, std::string_view ns, std::string_view after,
                                      bool possible, std::size_t limit);
struct DuplicateCounts {
  std::uint64_t certain = 0;
  std::uint64_t possible = 0;
};
Result<DuplicateCounts> count_duplicates(const View& view);  // one pass
/// Forgets at most `most` entries detected before `before`; gives what went.
Result<DuplicateCounts> drop_duplicates(Draft& draft, WallMs before, std::size_t most);

// ---- what a compaction filter may drop

/// True when the row means nothing at `now`: a request row past ends_at(), a response past response_until.
/// Rows of other families, and bytes that cannot be read, are never dropped.
bool past_its_end(Family family, std::string_view value, WallMs now);

}  // namespace refrain::store
