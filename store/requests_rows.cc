// SPDX-License-Identifier: Apache-2.0
#include "store/requests_rows.h"

#include <algorithm>
#include <limits>

#include "base/coding.h"
#include "base/text.h"

namespace refrain::store {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

// Flags of a claim and of an outcome.
constexpr std::uint8_t kReleased = 1;
constexpr std::uint8_t kHold = 2;
constexpr std::uint8_t kByOperator = 4;
constexpr std::uint8_t kTooLarge = 8;
constexpr std::uint8_t kStarted = 16;
constexpr std::uint8_t kHome = 32;

Error damaged(std::string_view what) {
  return corrupt(
      "A " + std::string(what) +
      " of the data directory cannot be read. Move the directory aside and rebuild the node from its peers.");
}

Writer& time(Writer& out, WallMs at) {
  return out.u64(static_cast<std::uint64_t>(at.value));
}
WallMs read_time(Reader& in) {
  return {static_cast<std::int64_t>(in.u64())};
}
Writer& duration(Writer& out, Milliseconds d) {
  return out.u64(static_cast<std::uint64_t>(d.count()));
}
Milliseconds read_duration(Reader& in) {
  return Milliseconds{static_cast<std::int64_t>(in.u64())};
}

template <class Bytes>
void read_array(Reader& in, Bytes& out) {
  std::string_view bytes = in.raw(out.size());
  std::copy(bytes.begin(), bytes.end(), out.begin());
}

void write_claim(Writer& out, const Claim& claim) {
  int flags = (claim.released ? kReleased : 0) | (claim.hold ? kHold : 0) |
              (claim.by_operator ? kByOperator : 0) | (claim.home.empty() ? 0 : kHome);
  out.u8(static_cast<std::uint8_t>(flags)).u64(claim.go.value);
  time(out, claim.lease_until);
  duration(out, claim.seen_ttl);
  duration(out, claim.response_ttl);
  out.varint(claim.attempt).varint(claim.seen.size());
  for (const auto& [node, go] : claim.seen) out.string(node).u64(go.value);
  out.u64(claim.token_bits).raw(as_bytes(claim.fingerprint)).u64(claim.incarnation.value);
  if (!claim.home.empty()) out.string(claim.home);
}

Claim read_claim(Reader& in, bool& sound) {
  Claim claim;
  std::uint8_t flags = in.u8();
  sound = sound && (flags & ~(kReleased | kHold | kByOperator | kHome)) == 0;
  claim.released = flags & kReleased;
  claim.hold = flags & kHold;
  claim.by_operator = flags & kByOperator;
  claim.go = {in.u64()};
  claim.lease_until = read_time(in);
  claim.seen_ttl = read_duration(in);
  claim.response_ttl = read_duration(in);
  claim.attempt = static_cast<std::uint32_t>(in.varint());
  for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left) {
    std::string node(in.string());
    claim.seen[node] = {in.u64()};
  }
  claim.token_bits = in.u64();
  read_array(in, claim.fingerprint);
  claim.incarnation = {in.u64()};
  if (flags & kHome) claim.home = std::string(in.string());
  return claim;
}

void write_outcome(Writer& out, const VersionedOutcome& stored) {
  const Outcome& outcome = stored.outcome;
  REFRAIN_ASSERT(outcome.body.empty(), "a request row never holds a response's bytes");
  int flags = (outcome.by_operator ? kByOperator : 0) | (outcome.too_large ? kTooLarge : 0) |
              (outcome.started_at ? kStarted : 0);
  out.u8(static_cast<std::uint8_t>(flags)).u64(stored.version.hlc.value).string(stored.version.node);
  out.u64(stored.incarnation.value).varint(stored.seq.value);
  out.string(outcome.go.node).u64(outcome.go.go.value).raw(as_bytes(outcome.fingerprint));
  out.varint(outcome.attempt).raw(as_bytes(outcome.content_hash)).varint(outcome.status);
  out.string(outcome.content_type).varint(outcome.body_size);
  if (outcome.started_at) time(out, *outcome.started_at);
  time(out, outcome.completed_at);
  time(out, outcome.response_until);
  time(out, outcome.seen_until);
}

VersionedOutcome read_outcome(Reader& in, bool& sound) {
  VersionedOutcome stored;
  Outcome& outcome = stored.outcome;
  std::uint8_t flags = in.u8();
  sound = sound && (flags & ~(kByOperator | kTooLarge | kStarted)) == 0;
  outcome.by_operator = flags & kByOperator;
  outcome.too_large = flags & kTooLarge;
  stored.version.hlc = {in.u64()};
  stored.version.node = std::string(in.string());
  stored.incarnation = {in.u64()};
  stored.seq = {in.varint()};
  outcome.go.node = std::string(in.string());
  outcome.go.go = {in.u64()};
  read_array(in, outcome.fingerprint);
  outcome.attempt = static_cast<std::uint32_t>(in.varint());
  read_array(in, outcome.content_hash);
  outcome.status = static_cast<std::uint32_t>(in.varint());
  outcome.content_type = std::string(in.string());
  outcome.body_size = in.varint();
  if (flags & kStarted) outcome.started_at = read_time(in);
  outcome.completed_at = read_time(in);
  outcome.response_until = read_time(in);
  outcome.seen_until = read_time(in);
  return stored;
}

/// Peers' numbers may be anything.
WallMs later(WallMs at, Milliseconds by) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(at.value, by.count(), &sum)) return {std::numeric_limits<std::int64_t>::max()};
  return {sum};
}

std::uint64_t end_field(const RequestRow& row) {
  auto end = ends_at(row);
  return end ? static_cast<std::uint64_t>(std::max<std::int64_t>(end->value, 0)) : kNever;
}

bool superseded(const RequestRow& row, const NodeName& node, const Claim& claim) {
  return std::any_of(row.claims.begin(), row.claims.end(), [&](const auto& other) {
    auto seen = other.second.seen.find(node);
    return other.first != node && seen != other.second.seen.end() && seen->second >= claim.go;
  });
}

/// Whether a claim under `hold` has nobody and nothing that ended it.
bool binds_for_ever(const RequestRow& row, const NodeName& node, const Claim& claim) {
  if (!claim.hold || claim.released || superseded(row, node, claim)) return false;
  return !row.outcome || row.outcome->version < Version{claim.go, node};
}

Result<std::optional<RequestRow>> decoded_request(Result<std::optional<std::string>> bytes) {
  if (!bytes) return bytes.error();
  if (!*bytes) return std::optional<RequestRow>();
  auto row = decode_request_row(**bytes);
  if (!row) return row.error();
  return std::optional<RequestRow>(std::move(*row));
}

Result<std::optional<ResponseRow>> decoded_response(Result<std::optional<std::string>> bytes) {
  if (!bytes) return bytes.error();
  if (!*bytes) return std::optional<ResponseRow>();
  auto row = decode_response(**bytes);
  if (!row) return row.error();
  return std::optional<ResponseRow>(std::move(*row));
}

}  // namespace

std::optional<WallMs> ends_at(const RequestRow& row) {
  WallMs end = row.outcome ? row.seen_until : WallMs{0};
  for (const auto& [node, claim] : row.claims) {
    if (binds_for_ever(row, node, claim)) return std::nullopt;
    end = std::max(end, later(claim.lease_until, claim.seen_ttl));
  }
  return end;
}

std::string request_key(std::string_view ns, std::string_view id) {
  std::string key;
  key.reserve(ns.size() + 1 + id.size());
  key.append(ns).push_back('\0');
  return key.append(id);
}

// The end stands in front, so that a compaction reads nine bytes of a row.
std::string encode_request_row(const RequestRow& row) {
  Writer out;
  out.u8(kFormat).u64(end_field(row)).varint(row.claims.size());
  for (const auto& [node, claim] : row.claims) {
    out.string(node);
    write_claim(out, claim);
  }
  time(out, row.seen_until).u8(row.outcome.has_value());
  if (row.outcome) write_outcome(out, *row.outcome);
  return out.take();
}

Result<RequestRow> decode_request_row(std::string_view bytes) {
  Reader in(bytes);
  RequestRow row;
  bool sound = in.u8() == kFormat;
  in.u64();  // the end, worked out again when it is written
  for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left) {
    std::string node(in.string());
    row.claims[node] = read_claim(in, sound);
  }
  row.seen_until = read_time(in);
  std::uint8_t has_outcome = in.u8();
  if (has_outcome == 1) row.outcome = read_outcome(in, sound);
  if (!sound || has_outcome > 1 || !in.done()) return damaged("request row");
  return row;
}

Result<std::optional<RequestRow>> get_request(const Draft& draft, std::string_view ns, std::string_view id) {
  return decoded_request(draft.get(Family::kRequests, request_key(ns, id)));
}
Result<std::optional<RequestRow>> get_request(const View& view, std::string_view ns, std::string_view id) {
  return decoded_request(view.get(Family::kRequests, request_key(ns, id)));
}
void put_request(Draft& draft, std::string_view ns, std::string_view id, const RequestRow& row) {
  draft.put(Family::kRequests, request_key(ns, id), encode_request_row(row));
}

void mark_open(Draft& draft, std::string_view ns, std::string_view id, bool open) {
  if (open) {
    draft.put(Family::kOpen, request_key(ns, id), "");
  } else {
    draft.remove(Family::kOpen, request_key(ns, id));
  }
}

Result<std::vector<ListedRequest>> list_requests(const View& view, std::string_view ns,
                                                 std::string_view after, std::size_t limit) {
  std::vector<ListedRequest> found;
  std::string prefix = request_key(ns, "");
  auto cursor = view.cursor(Family::kRequests);
  for (cursor->seek(request_key(ns, after)); cursor->valid() && cursor->key().starts_with(prefix);
       cursor->next()) {
    std::string_view id = cursor->key().substr(prefix.size());
    if (!after.empty() && id == after) continue;
    if (found.size() == limit) break;
    auto row = decode_request_row(cursor->value());
    if (!row) return row.error();
    found.push_back({std::string(id), std::move(*row)});
  }
  if (auto status = cursor->status(); !status) return status.error();
  return found;
}

Result<std::vector<RequestId>> list_open(const View& view, const std::optional<RequestId>& after,
                                         std::size_t limit) {
  std::vector<RequestId> found;
  std::string begin = after ? request_key(after->ns, after->id) : "";
  auto cursor = view.cursor(Family::kOpen);
  for (cursor->seek(begin); cursor->valid() && found.size() < limit; cursor->next()) {
    std::string_view key = cursor->key();
    if (after && key == begin) continue;
    std::size_t zero = key.find('\0');
    if (zero == std::string_view::npos) return damaged("mark of an open request");
    found.push_back({std::string(key.substr(0, zero)), std::string(key.substr(zero + 1))});
  }
  if (auto status = cursor->status(); !status) return status.error();
  return found;
}

std::string response_key(std::string_view ns, std::string_view id, const Version& version) {
  std::string key = request_key(ns, id);
  key.push_back('\0');
  return key.append(format_version(version));
}

std::string encode_response(const ResponseRow& row) {
  Writer out;
  out.u8(kFormat);
  time(out, row.response_until);
  return out.varint(row.status).string(row.content_type).raw(row.body).take();
}

Result<ResponseRow> decode_response(std::string_view bytes) {
  Reader in(bytes);
  ResponseRow row;
  bool known = in.u8() == kFormat;
  row.response_until = read_time(in);
  row.status = static_cast<std::uint32_t>(in.varint());
  row.content_type = std::string(in.string());
  row.body = std::string(in.rest());
  if (!known || !in.done()) return damaged("stored response");
  return row;
}

Result<std::optional<ResponseRow>> get_response(const Draft& draft, std::string_view ns, std::string_view id,
                                                const Version& version) {
  return decoded_response(draft.get(Family::kResponses, response_key(ns, id, version)));
}
Result<std::optional<ResponseRow>> get_response(const View& view, std::string_view ns, std::string_view id,
                                                const Version& version) {
  return decoded_response(view.get(Family::kResponses, response_key(ns, id, version)));
}
void put_response(Draft& draft, std::string_view ns, std::string_view id, const Version& version,
                  const ResponseRow& row) {
  draft.put(Family::kResponses, response_key(ns, id, version), encode_response(row));
}
void remove_response(Draft& draft, std::string_view ns, std::string_view id, const Version& version) {
  draft.remove(Family::kResponses, response_key(ns, id, version));
}

bool past_its_end(Family family, std::string_view value, WallMs now) {
  if (family != Family::kRequests && family != Family::kResponses) return false;
  Reader in(value);
  bool known = in.u8() == kFormat;
  std::uint64_t end = in.u64();
  return known && in.ok() && now.value > 0 && end <= static_cast<std::uint64_t>(now.value);
}

}  // namespace refrain::store
