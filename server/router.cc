// SPDX-License-Identifier: Apache-2.0
#include "server/router.h"

#include <algorithm>
#include <set>

#include "server/handlers.h"
#include "server/target.h"

namespace refrain::server {
namespace {

using enum BodyKind;

const std::vector<Route>& table() {
  static const std::vector<Route> routes = {
      {"PUT", "/v1/kv/{ns}/{key}", kValue, put_key, {"ttl", "ack", "timeout"}},
      {"DELETE", "/v1/kv/{ns}/{key}", kNone, delete_key, {"ack", "timeout"}},
      {"GET", "/v1/kv/{ns}/{key}", kNone, get_key, {"wait"}},
      {"GET", "/v1/kv/{ns}", kNone, scan_keys, {"prefix", "after", "limit", "values", "wait"}},
      {"POST", "/v1/commit", kJson, post_commit, {"ack", "timeout"}},
      {"POST",
       "/v1/requests/{ns}/{id}/begin",
       kPayload,
       begin_request,
       {"lease", "on_expiry", "seen_ttl", "max_lag", "wait", "fingerprint"},
       true},
      {"POST", "/v1/requests/{ns}/{id}/complete", kJson, complete_request, {"ack", "timeout"}},
      {"POST", "/v1/requests/{ns}/{id}/renew", kSmall, renew_request, {"ack", "timeout"}},
      {"POST", "/v1/requests/{ns}/{id}/release", kSmall, release_request, {"ack", "timeout"}},
      {"POST",
       "/v1/requests/{ns}/{id}/execute",
       kJson,
       execute_request,
       {"fingerprint", "ack", "timeout"},
       true},
      {"POST", "/v1/requests/{ns}/{id}/resolve", kJson, resolve_request, {}},
      {"GET", "/v1/requests/{ns}/{id}", kNone, show_request, {"fingerprint", "wait"}},
      {"GET", "/v1/requests/{ns}", kNone, list_requests, {"state", "after", "limit", "wait"}},
      {"GET", "/v1/duplicates", kNone, list_duplicates, {"ns", "after", "limit", "all", "wait"}},
      {"GET", "/v1/status", kNone, show_status, {}},
      {"GET", "/v1/members", kNone, show_members, {}},
      {"POST", "/v1/members/{node}/evict", kSmall, evict_member, {"timeout"}},
      {"POST", "/v1/members/{node}/leave", kSmall, leave_cluster, {"timeout"}},
      {"POST", "/v1/members/{node}/rejoin", kSmall, rejoin_cluster, {"timeout"}},
      {"GET", "/v1/sync", kNone, show_sync, {}},
      {"POST", "/v1/sync/{node}/resume", kNone, resume_journal, {"skip"}},
      {"GET", "/v1/events", kNone, list_events, {"state", "after", "limit", "wait"}},
      {"POST", "/v1/events/retry", kNone, retry_events, {}},
      {"GET", "/v1/events/export", kNone, export_events, {"after", "limit"}},
      {"GET", "/v1/events/{commit}", kNone, show_event, {}},
      {"GET", "/v1/conflicts", kNone, list_conflicts, {"ns", "key", "open", "after", "limit", "wait"}},
      {"GET", "/v1/conflicts/{id}", kNone, show_conflict, {}},
      {"POST", "/v1/conflicts/{id}/resolve", kJson, resolve_conflict, {}},
      {"POST", "/v1/backup", kSmall, make_backup, {}},
      {"GET", "/v1/snapshot", kNone, stream_snapshot, {}},
      {"GET", "/v1/digest", kNone, show_digest, {"bucket", "rows", "ns", "key", "after", "limit", "count"}},
      {"POST", "/v1/digest/recount", kNone, recount_digest, {}},
      {"GET", "/health/live", kNone, show_live, {}, false, true},
      {"GET", "/health/ready", kNone, show_ready, {}, false, true},
      {"GET", "/metrics", kNone, show_metrics, {}, false, true},
      {"GET", "/openapi.json", kNone, show_openapi, {}, false, true},
  };
  return routes;
}

struct Pattern {
  std::vector<std::string_view> parts;
  bool rest = false;  // its last part takes all that follows
};

const std::vector<Pattern>& patterns() {
  static const auto made = [] {
    std::vector<Pattern> out;
    for (const auto& route : table()) {
      out.push_back({split_target(route.pattern).segments, route.pattern.ends_with("{key}")});
    }
    return out;
  }();
  return made;
}

/// `words` are the decoded segments, none where an escape is broken.
bool matches(const Pattern& pattern, const std::vector<std::string>& words) {
  const std::size_t n = pattern.parts.size();
  if (pattern.rest ? words.size() < n : words.size() != n) return false;
  for (std::size_t i = 0; i < n; ++i) {
    if (!pattern.parts[i].starts_with('{') && pattern.parts[i] != words[i]) return false;
  }
  return true;
}

std::vector<std::string> captures_of(const Pattern& pattern, const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < pattern.parts.size(); ++i) {
    if (pattern.parts[i].starts_with('{')) out.push_back(words[i]);
  }
  for (std::size_t i = pattern.parts.size(); i < words.size(); ++i) (out.back() += '/') += words[i];
  return out;
}

Result<std::vector<std::string>> decode(const Target& target) {
  std::vector<std::string> words;
  words.reserve(target.segments.size());
  for (auto segment : target.segments) {
    auto word = percent_decode(segment);
    if (!word) return word.error();
    words.push_back(std::move(*word));
  }
  return words;
}

std::optional<Error> refuse_unknown(const Routed& routed) {
  for (const auto& [name, value] : routed.query) {
    if (std::ranges::find(routed.route->query, name) != routed.route->query.end()) continue;
    std::string known;
    for (auto one : routed.route->query) (known += known.empty() ? "" : ", ") += one;
    return invalid("unknown_parameter",
                   "The query parameter " + name + " is not known here. " +
                       (known.empty() ? "The route takes none." : "Known: " + known + "."));
  }
  return std::nullopt;
}

/// What an address has, when it lacks the method.
std::string allowed(const std::vector<std::string>& words) {
  std::set<std::string_view> methods;
  for (std::size_t i = 0; i < table().size(); ++i) {
    if (!matches(patterns()[i], words)) continue;
    methods.insert(table()[i].method);
    if (table()[i].method == "GET") methods.insert("HEAD");
  }
  std::string out;
  for (auto method : methods) (out += out.empty() ? "" : ", ") += method;
  return out;
}

void refuse(Routed& routed, std::string_view method, const std::vector<std::string>& words) {
  routed.allow = allowed(words);
  if (routed.allow.empty()) {
    routed.error =
        Error{Code::kNotFound, "no_such_route", "There is no such route. /openapi.json lists all of them."};
  } else {
    routed.error = invalid("method_not_allowed",
                           "There is no " + std::string(method) + " here. Allowed: " + routed.allow + ".");
  }
}

}  // namespace

std::span<const Route> routes() {
  return table();
}

Routed route(std::string_view method, std::string_view text) {
  Routed routed;
  if (text == "*") {
    routed.allow = "DELETE, GET, HEAD, POST, PUT";
    routed.error = invalid("method_not_allowed", "There is no OPTIONS here.");
    return routed;
  }
  const Target target = split_target(text);
  auto words = decode(target);
  if (!words) {  // of a route all the same: its answers have headers of their own
    routed.error = words.error();
    words = std::vector<std::string>(target.segments.begin(), target.segments.end());
  }
  const auto wanted = method == "HEAD" ? std::string_view("GET") : method;
  for (std::size_t i = 0; i < table().size() && !routed.route; ++i) {
    if (table()[i].method != wanted || !matches(patterns()[i], *words)) continue;
    routed.route = &table()[i];
    routed.captures = captures_of(patterns()[i], *words);
  }
  if (routed.error) return routed;
  if (!routed.route) {
    refuse(routed, method, *words);
    return routed;
  }
  auto query = parse_query(target.query);
  if (!query) {
    routed.error = query.error();
    return routed;
  }
  routed.query = std::move(*query);
  routed.error = refuse_unknown(routed);
  return routed;
}

}  // namespace refrain::server
