// SPDX-License-Identifier: Apache-2.0
// The small texts that callers send: claim tokens, sessions, ids, versions, times. What is taken is within
// its limits, and has one written form.
#include "idempotency/token.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/text.h"
#include "store/session.h"
#include "tests/fuzz/fuzz.h"

namespace refrain {
namespace {

constexpr std::string_view kNs = "pay";
constexpr std::string_view kId = "order-1";
constexpr WallMs kNow{1'780'000'000'000};
constexpr Milliseconds kDrift{500};

void token(std::string_view text) {
  auto read = idempotency::decode_token(text, kNs, kId, kNow, kDrift);
  if (!read) return REFRAIN_ASSERT(read.error().slug == "bad_token", "one reason for every bad token");
  REFRAIN_ASSERT(valid_node_name(read->go.node), "a node gave it");
  REFRAIN_ASSERT(read->go.go.wall() <= kNow + kDrift, "a go is never of the future");
  const std::string written = idempotency::encode_token(kNs, kId, *read);
  auto again = idempotency::decode_token(written, kNs, kId, kNow, kDrift);
  REFRAIN_ASSERT(again && *again == *read, "written and read again it is the same");
  REFRAIN_ASSERT(!idempotency::decode_token(written, kNs, "order-2", kNow, kDrift),
                 "and of this request only");
}

/// Past the hash of namespace and id, which no fuzzer finds.
void token_of(std::string_view rest) {
  Hash128 hash = hash128_framed({kNs, kId});
  Writer out;
  out.u8(1).raw(as_bytes(hash).substr(0, 8)).raw(rest);
  token(base64url_encode(out.bytes()));
}

void session(std::string_view text) {
  auto read = store::decode_session(text);
  if (!read) return;
  REFRAIN_ASSERT(read->size() <= store::kMaxSessionNodes, "a session has a largest size");
  for (const auto& [node, hlc] : *read) REFRAIN_ASSERT(valid_node_name(node), "a session names nodes");
  const std::string written = store::encode_session(*read);
  REFRAIN_ASSERT(written.size() <= store::kMaxSessionBytes && fuzz::fits_a_header(written),
                 "it fits a header");
  REFRAIN_ASSERT(store::decode_session(written) == read, "written and read again it is the same");
}

void version_and_id(std::string_view text) {
  if (auto version = parse_version(text)) {
    REFRAIN_ASSERT(format_version(*version) == text, "a version has one text");
  }
  if (auto id = parse_commit_id(text)) {
    bool shortened = id->incarnation == Incarnation{};
    REFRAIN_ASSERT(shortened || format_commit_id(*id) == text, "a commit id has one text");
    REFRAIN_ASSERT(valid_node_name(id->node) && id->seq.value > 0, "and names a commit");
  }
  if (auto number = parse_hex64(text)) REFRAIN_ASSERT(format_hex64(*number) == text, "16 digits, one text");
}

void times_and_sizes(std::string_view text) {
  if (auto duration = parse_duration(text)) {
    REFRAIN_ASSERT(duration->count() >= 0, "a duration is no debt");
    REFRAIN_ASSERT(parse_duration(format_duration(*duration)) == duration, "a duration is exact");
    REFRAIN_ASSERT((kNow + *duration) + *duration > kNow || duration->count() == 0,
                   "times can be added to it");
  }
  parse_bytes(text);
  Reader in(text);
  REFRAIN_ASSERT(format_time({static_cast<std::int64_t>(in.u64())}).size() == 24, "any time has a text");
}

void encodings(std::string_view text) {
  if (auto bytes = base64_decode(text)) REFRAIN_ASSERT(base64_encode(*bytes) == text, "base64 has one text");
  if (auto bytes = base64url_decode(text)) REFRAIN_ASSERT(base64url_encode(*bytes) == text, "base64url too");
  if (auto bytes = hex_decode(text)) {
    REFRAIN_ASSERT(bytes->size() * 2 == text.size() && hex_decode(hex_encode(*bytes)) == bytes,
                   "hex as well");
  }
  REFRAIN_ASSERT(base64url_decode(base64url_encode(text)) == text, "bytes come back");
  REFRAIN_ASSERT(base64_decode(base64_encode(text)) == text, "bytes come back");
}

void names(std::string_view text) {
  bool key = valid_key(text, 1024);
  REFRAIN_ASSERT(!key || (valid_utf8(text) && fuzz::fits_a_header(text) && text.size() <= 1024),
                 "a key is text");
  bool plain = valid_request_id(text) || valid_namespace(text) || valid_node_name(text);
  REFRAIN_ASSERT(!plain || (text.size() <= 255 && fuzz::fits_a_header(text)), "a name fits a header");
  REFRAIN_ASSERT(!valid_node_name(text) || valid_cluster_name(text), "a node's name is a plain name");
}

}  // namespace
}  // namespace refrain

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refrain;
  fuzz::Input in(data, size);
  constexpr void (*kTargets[])(std::string_view) = {token,           token_of,  session, version_and_id,
                                                    times_and_sizes, encodings, names};
  auto target = kTargets[in.u8() % std::size(kTargets)];
  target(in.rest());
  return 0;
}
