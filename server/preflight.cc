// SPDX-License-Identifier: Apache-2.0
#include "server/preflight.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "server/access_log.h"
#include "server/problem.h"
#include "server/router.h"
#include "store/session.h"

namespace refrain::server {
namespace {

constexpr std::uint64_t kPayloadLimit = node::kMiB;
constexpr std::uint64_t kSmallLimit = 64 * node::kKiB;

bool json_type(std::string_view type) {
  std::string lower(type.substr(0, type.find(';')));
  while (lower.ends_with(' ') || lower.ends_with('\t')) lower.pop_back();
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower == "application/json";
}

bool takes_json(const Route& route) {
  return route.body == BodyKind::kJson || route.body == BodyKind::kSmall;
}

std::optional<Error> check_body_type(const Request& request) {
  if (request.head.content_length == 0) return std::nullopt;
  if (request.route->body == BodyKind::kNone) return invalid("invalid", "The route takes no body.");
  const auto* encoding = request.head.field("content-encoding");
  if (encoding && *encoding != "identity") {
    return invalid("unsupported_media_type", "Bodies with a Content-Encoding are not taken.");
  }
  const auto* type = request.head.field("content-type");
  // A browser sends other types across sites without asking; JSON it asks for first.
  if (takes_json(*request.route) && type && !json_type(*type)) {
    return invalid("unsupported_media_type", "The body is JSON: send Content-Type: application/json.");
  }
  return std::nullopt;
}

std::optional<Error> check_body_size(const Door& door, const Request& request) {
  const auto limit = body_limit(door, request);
  const auto bytes = request.head.content_length;
  if (bytes <= limit) return std::nullopt;
  switch (request.route->body) {
    case BodyKind::kValue:
      return invalid("value_too_large",
                     fmt::format("The value has {} bytes; the limit is {} (limits.value).", bytes, limit));
    case BodyKind::kPayload:
      return invalid("value_too_large",
                     fmt::format("The payload has {} bytes; the limit is {}. Send its SHA-256 as "
                                 "?fingerprint= instead.",
                                 bytes, limit));
    case BodyKind::kJson:
      return invalid("commit_too_large",
                     fmt::format("The body has {} bytes; the limit is {}, what a commit of {} bytes "
                                 "(limits.commit) may become in JSON.",
                                 bytes, limit, door.api().limits().commit_bytes));
    default:
      return invalid("value_too_large", fmt::format("The body has {} bytes; the limit is {}.", bytes, limit));
  }
}

std::optional<Error> read_session(Request& request) {
  const auto* header = request.head.field("refrain-session");
  if (!header || header->empty()) return std::nullopt;
  auto session = store::decode_session(*header);
  if (!session) return invalid("invalid", "Refrain-Session is damaged. Send it as it came, or leave it out.");
  request.session = std::move(*session);
  return std::nullopt;
}

std::string_view decision_of(const Response& response) {
  const auto code = response.code;
  if (code == "request_in_progress") return "in_progress";
  // Refused means that nothing was claimed, which nobody knows of an uncertain one.
  if (code == "outcome_unknown" || code == "write_uncertain") return "unknown";
  if (code == "fingerprint_mismatch") return "mismatch";
  if (code == "response_expired" || code == "response_too_large") return "gone";
  return "refused";
}

bool reads(const Request& request) {
  return request.route && request.route->method == "GET";
}

Response uncertain(const std::string& why) {
  return problem({Code::kUnknown, "write_uncertain",
                  why +
                      "; what was asked may have happened. Read, or repeat with the same Idempotency-Key or "
                      "request id."});
}

void name_decision(Door& door, const Request& request, Response& response) {
  const std::string& ns = request.captures[0];
  if (!response.header("Refrain-Decision"))
    response.with("Refrain-Decision", std::string(decision_of(response)));
  if (!response.header("Refrain-Scope")) response.with("Refrain-Scope", door.options.scope_of(ns));
  door.metrics.decided(valid_namespace(ns) ? ns : "invalid", *response.header("Refrain-Decision"));
}

}  // namespace

std::uint64_t body_limit(const Door& door, const Request& request) {
  switch (request.route->body) {
    case BodyKind::kNone:
      return 0;
    case BodyKind::kValue:
      return door.api().limits().value_bytes;
    case BodyKind::kPayload:
      return kPayloadLimit;
    // JSON may need six bytes for one: \u0000.
    case BodyKind::kJson:
      return 6 * door.api().limits().commit_bytes + kSmallLimit;
    case BodyKind::kSmall:
      return kSmallLimit;
  }
  return 0;
}

std::optional<Response> preflight(Door& door, Request& request) {
  auto routed = route(request.head.method, request.head.target);
  request.route = routed.route;
  request.captures = std::move(routed.captures);
  request.query = std::move(routed.query);
  if (auto error = read_session(request); error && !routed.error) routed.error = std::move(error);
  if (routed.error) {
    Response response = problem(*routed.error);
    if (!routed.allow.empty()) response.with("Allow", std::move(routed.allow));
    return response;
  }
  if (!request.route->without_node && !door.node.load(std::memory_order_acquire)) {
    return problem(
        unavailable("catching_up", "The node is opening its data directory. Try again in a moment."));
  }
  auto error = check_body_type(request);
  if (!error && request.head.content_length > 0) error = check_body_size(door, request);
  if (error) return problem(*error);
  return std::nullopt;
}

Response given_up(const Door& door, const Request& request) {
  if (!reads(request)) {
    if (request.gone->load()) return uncertain("The connection was closed while the call waited");
    return uncertain(door.draining ? "The node shuts down before it had an answer"
                                   : "The node did not answer in time");
  }
  if (door.draining) return problem(unavailable("draining", "The node is shutting down. Ask another one."));
  return problem(unavailable("overloaded", "The node did not answer in time. Try again later."));
}

Response crowded_out(const Request& request) {
  constexpr std::string_view kWhy = "The node holds as many answers that nobody takes as it may";
  if (!reads(request)) return uncertain(std::string(kWhy));
  return problem(unavailable("overloaded", std::string(kWhy) + ". Try again later."));
}

void finish(Door& door, Request& request, Response& response, std::chrono::nanoseconds took) {
  response.with("Refrain-Session", store::encode_session(request.session));
  if (request.route && request.route->decides) name_decision(door, request, response);
  door.metrics.answered(request.route, response.status, took);
  note_answer(request, response, took);
}

}  // namespace refrain::server
