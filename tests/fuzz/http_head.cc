// SPDX-License-Identifier: Apache-2.0
// Bytes of a connection as the server takes them apart: heads, bodies by their length, the next head; then
// targets, queries and the headers that decide something. The same bytes mean the same however they are cut,
// and no answer has a line that a caller wrote.
#include "server/http_head.h"
#include "base/text.h"
#include "server/arguments.h"
#include "server/problem.h"
#include "server/router.h"
#include "server/target.h"
#include "store/session.h"
#include "tests/fuzz/answer_head.h"
#include "tests/fuzz/fuzz.h"

namespace refrain::server {
namespace {

const node::Limits kLimits;

void check_head(const Head& head) {
  REFRAIN_ASSERT(head.target.starts_with('/') || head.target == "*", "a target is a path");
  REFRAIN_ASSERT(head.fields.size() <= kMaxHeaders, "headers are counted");
  REFRAIN_ASSERT(fuzz::fits_a_header(head.method) && fuzz::fits_a_header(head.target), "one line");
  std::size_t lengths = 0;
  for (const auto& [name, value] : head.fields) {
    REFRAIN_ASSERT(!name.empty() && fuzz::fits_a_header(name) && fuzz::fits_a_header(value), "one line each");
    REFRAIN_ASSERT(name.find_first_of(" \t:") == std::string::npos, "a name is a token");
    REFRAIN_ASSERT(name != "transfer-encoding", "a length is said one way");
    lengths += name == "content-length";
  }
  REFRAIN_ASSERT(lengths <= 1 && (lengths == 1 || head.content_length == 0), "and once");
}

void check_arguments(Request& request) {
  Arguments arguments(request, kLimits);
  auto condition = arguments.condition();
  auto key = arguments.idempotency_key();
  arguments.ack();
  auto wait = arguments.wait();
  auto limit = arguments.limit();
  auto ttl = arguments.duration("ttl");
  arguments.fingerprint();
  arguments.flag("values");
  if (request.captures.size() == 2) {
    auto ns = arguments.kv_namespace();
    auto name = arguments.key();
    if (!arguments.error())
      REFRAIN_ASSERT(valid_namespace(ns) && valid_key(name, kLimits.key_bytes), "a place is a place");
  }
  if (arguments.error()) return fuzz::check_answer_head(problem(*arguments.error()));
  REFRAIN_ASSERT(!key || valid_request_id(*key), "an Idempotency-Key is a request id");
  REFRAIN_ASSERT(!condition.if_match || !condition.if_none_match, "one condition");
  REFRAIN_ASSERT(wait <= kMaxWait && limit >= 1 && limit <= kMaxListed, "within limits");
  REFRAIN_ASSERT(!ttl || (ttl->count() > 0 && *ttl <= kMaxTtl), "within limits");
}

void check_request(Head head) {
  auto routed = route(head.method, head.target);
  if (routed.error) {
    Response response = problem(*routed.error);
    response.with("Allow", routed.allow);
    return fuzz::check_answer_head(response);
  }
  REFRAIN_ASSERT(routed.route != nullptr, "no error means a route");
  Request request;
  request.route = routed.route;
  request.captures = std::move(routed.captures);
  request.query = std::move(routed.query);
  for (const auto& [name, value] : request.query) {
    REFRAIN_ASSERT(valid_utf8(name) && valid_utf8(value), "a query is text");
    const auto& known = request.route->query;
    REFRAIN_ASSERT(std::find(known.begin(), known.end(), name) != known.end(), "that the route knows");
  }
  request.head = std::move(head);
  if (const auto* session = request.head.field("refrain-session")) {
    if (auto seen = store::decode_session(*session)) request.session = std::move(*seen);
  }
  check_arguments(request);
  Response echo;  // decoded bytes in a header, as a location or a content type would be
  for (const auto& capture : request.captures) echo.with("X-Echo", capture);
  echo.content_type = request.captures.empty() ? "" : request.captures.back();
  fuzz::check_answer_head(echo);
}

/// One request after the other, as Connection reads them. `piece` bytes come at a time.
std::vector<std::string> targets_of(std::string_view bytes, std::size_t piece, bool look) {
  std::vector<std::string> targets;
  while (!bytes.empty()) {
    HeadScanner scanner;
    std::optional<std::size_t> size;
    for (std::size_t here = std::min(piece, bytes.size());; here = std::min(here + piece, bytes.size())) {
      auto found = scanner.scan(bytes.substr(0, here));
      if (!found) {
        if (look) fuzz::check_answer_head(problem_and_close(found.error()));
        targets.emplace_back("refused");
        return targets;
      }
      size = *found;
      if (size || here == bytes.size()) break;
    }
    if (!size) break;
    REFRAIN_ASSERT(*size <= kMaxHeadBytes + 2 && *size <= bytes.size(), "a head has a largest size");
    const std::size_t skipped = bytes.starts_with("\r\n") ? 2 : 0;
    REFRAIN_ASSERT(scanner.skipped() == skipped, "one empty line may come first");
    auto parsed = parse_head(bytes.substr(skipped, *size - skipped));
    bytes.remove_prefix(*size);
    if (parsed.error) {
      if (look) fuzz::check_answer_head(problem_and_close(*parsed.error));
      targets.emplace_back("refused");
      return targets;
    }
    targets.push_back(parsed.head.method + ' ' + parsed.head.target);
    const auto body = std::min<std::uint64_t>(parsed.head.content_length, bytes.size());
    bytes.remove_prefix(body);
    if (!look) continue;
    check_head(parsed.head);
    check_request(std::move(parsed.head));
  }
  return targets;
}

void connection(fuzz::Input& in) {
  const std::size_t piece = 1U + in.u8() % 32U;
  const std::string_view bytes = in.rest();
  auto whole = targets_of(bytes, 8192, true);
  REFRAIN_ASSERT(targets_of(bytes, piece, false) == whole,
                 "the same bytes mean the same however they are cut");
}

/// A head around the text, so that a fuzzer need not spell one to reach what is inside.
void target(fuzz::Input& in) {
  Head head;
  head.method = std::string(in.part());
  constexpr std::string_view kFields[] = {"if-match", "if-none-match", "idempotency-key", "refrain-session"};
  head.fields.push_back({std::string(kFields[in.u8() % std::size(kFields)]), std::string(in.part())});
  head.target = '/' + std::string(in.rest());
  if (!fuzz::fits_a_header(head.target)) return;
  check_request(std::move(head));
}

void escapes(fuzz::Input& in) {
  const std::string_view text = in.rest();
  auto plain = percent_decode(text);
  if (plain) REFRAIN_ASSERT(plain->size() <= text.size(), "decoding never grows");
  auto query = parse_query(text);
  if (!query) return fuzz::check_answer_head(problem(query.error()));
  for (const auto& [name, value] : *query) REFRAIN_ASSERT(valid_utf8(name) && valid_utf8(value), "text");
}

}  // namespace
}  // namespace refrain::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refrain;
  fuzz::Input in(data, size);
  switch (in.u8() % 4) {
    case 0:
      server::escapes(in);
      break;
    case 1:
      server::target(in);
      break;
    default:
      server::connection(in);
  }
  return 0;
}
