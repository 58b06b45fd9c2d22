// SPDX-License-Identifier: Apache-2.0
#include "server/problem.h"

#include <algorithm>
#include <array>

#include "server/json_writer.h"

namespace refrain::server {
namespace {

// Not a route of the node: an address that anyone can open, with an anchor a code.
constexpr std::string_view kDocs = "https://github.com/refrain-dev/refrain/blob/main/docs/api.md#";

constexpr auto kKinds = std::to_array<ProblemKind>({
    {"ack_unavailable", 400, "This node cannot wait for that"},
    {"bad_token", 400, "Not a token of this request"},
    {"duplicate_key", 400, "A key stands twice in one commit"},
    {"invalid", 400, "The call is not valid"},
    {"reserved_name", 400, "The name is reserved"},
    {"unknown_parameter", 400, "Unknown parameter or member"},
    {"no_such_route", 404, "There is no such route"},
    {"not_found", 404, "There is no such thing"},
    {"method_not_allowed", 405, "The route has no such method"},
    {"timed_out", 408, "The request timed out"},
    {"already_completed", 409, "Another run completed the request"},
    {"completed_differently", 409, "The token completed with another response"},
    {"outcome_unknown", 409, "Nobody knows whether the request was done"},
    {"released", 409, "The token was released"},
    {"request_in_progress", 409, "Another run holds the claim"},
    {"superseded", 409, "A later claim took over"},
    {"response_expired", 410, "Done, and the response is no longer kept"},
    {"response_too_large", 410, "Done, and the response was too large to keep"},
    {"length_required", 411, "Send a Content-Length"},
    {"stale", 412, "This node has not yet applied what the session has seen"},
    {"version_mismatch", 412, "A condition does not hold"},
    {"commit_too_large", 413, "The commit is over the limit"},
    {"response_over_limit", 413, "The response is over the limit"},
    {"value_too_large", 413, "A key, a value or a payload is over the limit"},
    {"unsupported_media_type", 415, "Send application/json"},
    {"wrong_node", 421, "Another node decides this"},
    {"fingerprint_mismatch", 422, "The request id was used with another payload"},
    {"rate_limited", 429, "Too many calls in this namespace"},
    {"write_uncertain", 500, "The write may have happened"},
    {"not_in_this_version", 501, "Not in this version"},
    {"catching_up", 503, "The node has not yet read what others decided"},
    {"clock_drift", 503, "The node's clock stepped back"},
    {"config_mismatch", 503, "The members disagree on the namespace's rules"},
    {"disk_full", 503, "The disk is full"},
    {"draining", 503, "The node is shutting down"},
    {"fenced", 503, "The node is no longer a member"},
    {"joining", 503, "The node is joining"},
    {"lag_too_large", 503, "A member is too far behind"},
    {"members_forked", 503, "Two histories of the membership"},
    {"no_founder", 503, "The cluster has no founder yet"},
    {"overloaded", 503, "The node has too much to do"},
    {"rolled_back", 503, "The data directory is older than what the node had published"},
    {"store_failed", 503, "The store failed"},
});

std::string_view nearest(Code code) {
  switch (code) {
    case Code::kInvalid:
      return "invalid";
    case Code::kNotFound:
      return "not_found";
    case Code::kConflict:
      return "version_mismatch";
    case Code::kUnavailable:
      return "overloaded";
    case Code::kUnknown:
      return "write_uncertain";
    case Code::kCorrupt:
      return "store_failed";
  }
  return "store_failed";
}

const ProblemKind* find_kind(std::string_view code) {
  const auto* found = std::ranges::find(kKinds, code, &ProblemKind::code);
  return found == kKinds.end() ? nullptr : found;
}

bool says_when(const ProblemKind& kind) {
  return kind.status == 503 || kind.status == 429 || kind.code == "request_in_progress";
}

}  // namespace

std::span<const ProblemKind> problem_kinds() {
  return kKinds;
}

const ProblemKind& kind_of(const Error& error) {
  if (const auto* kind = find_kind(error.slug)) return *kind;
  return *find_kind(nearest(error.code));
}

Response problem(const Error& error) {
  const ProblemKind& kind = kind_of(error);
  auto retry_after_ms = error.retry_after_ms;
  if (!retry_after_ms && says_when(kind)) retry_after_ms = 1000;
  if (retry_after_ms) retry_after_ms = std::max<std::int64_t>(*retry_after_ms, 0);

  JsonWriter json;
  json.begin_object();
  json.member("type", std::string(kDocs) + std::string(kind.code));
  json.member("title", kind.title).member("status", kind.status).member("code", kind.code);
  json.member("detail", error.detail);
  if (retry_after_ms) json.member("retry_after_ms", *retry_after_ms);
  if (error.address) json.member("address", *error.address);
  if (error.operation) json.member("operation", static_cast<std::uint64_t>(*error.operation));
  json.end_object();

  Response response = json_response(kind.status, json.take());
  response.content_type = "application/problem+json";
  response.code = kind.code;
  if (retry_after_ms) {
    response.with("Retry-After", std::to_string(std::max<std::int64_t>(1, (*retry_after_ms + 999) / 1000)));
  }
  return response;
}

Response problem_and_close(const Error& error) {
  Response response = problem(error);
  response.close = true;
  return response;
}

}  // namespace refrain::server
