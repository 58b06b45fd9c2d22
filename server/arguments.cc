// SPDX-License-Identifier: Apache-2.0
#include "server/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace refrain::server {
namespace {

Error bad(std::string detail) {
  return invalid("invalid", std::move(detail));
}

constexpr std::string_view kNamespaceRule = "a lower-case letter or digit, then up to 63 of a-z 0-9 _ -";
constexpr std::string_view kDurationRule = "a whole number with ms, s, m, h or d, such as 500ms or 30s";

}  // namespace

std::optional<Error> check_kv_namespace(std::string_view ns) {
  if (ns.starts_with('_')) return invalid("reserved_name", "Namespaces that start with _ are Refrain's own.");
  if (!valid_namespace(ns)) return bad(fmt::format("Not a namespace: {}.", kNamespaceRule));
  return std::nullopt;
}

std::optional<Error> check_key(std::string_view key, const node::Limits& limits) {
  if (key.size() > limits.key_bytes) {
    return invalid("value_too_large", fmt::format("The key has {} bytes; the limit is {} (limits.key).",
                                                  key.size(), limits.key_bytes));
  }
  if (!valid_key(key, limits.key_bytes)) {
    return bad(
        "Not a key: UTF-8 without control characters, and no segment between slashes is empty, . or ..");
  }
  return std::nullopt;
}

std::optional<Error> check_value(std::size_t bytes, const node::Limits& limits) {
  if (bytes <= limits.value_bytes) return std::nullopt;
  return invalid("value_too_large", fmt::format("The value has {} bytes; the limit is {} (limits.value).",
                                                bytes, limits.value_bytes));
}

std::optional<Version> parse_etag(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return parse_version(text);
}

std::string etag(const Version& version) {
  return '"' + format_version(version) + '"';
}

void Arguments::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

std::string Arguments::kv_namespace() {
  if (auto error = check_kv_namespace(capture(0))) fail(std::move(*error));
  return capture(0);
}

std::string Arguments::key() {
  if (auto error = check_key(capture(1), limits_)) fail(std::move(*error));
  return capture(1);
}

std::string Arguments::request_namespace(bool read) {
  std::string_view ns = capture(0);
  if (read && ns.starts_with("_http-")) ns.remove_prefix(6);
  if (auto error = check_kv_namespace(ns)) fail(std::move(*error));
  return capture(0);
}

std::string Arguments::request_id() {
  if (!valid_request_id(capture(1))) {
    fail(bad("Not a request id: 1 to 255 visible ASCII characters without \" and \\, and not . or .."));
  }
  return capture(1);
}

std::string Arguments::node_name() {
  if (!valid_node_name(capture(0))) fail(bad("Not a node's name: a-z or 0-9, then up to 31 of a-z 0-9 -."));
  return capture(0);
}

std::optional<std::string> Arguments::text(std::string_view name) const {
  const auto* value = request_.parameter(name);
  return value ? std::optional(*value) : std::nullopt;
}

std::optional<Milliseconds> Arguments::duration(std::string_view name, Milliseconds max) {
  const auto* text = request_.parameter(name);
  if (!text) return std::nullopt;
  const auto duration = parse_duration(*text);
  if (!duration) {
    fail(bad(fmt::format("{} is not a duration: {}.", name, kDurationRule)));
  } else if (duration->count() <= 0 || *duration > max) {
    fail(bad(fmt::format("{} must be more than 0 and at most {}.", name, format_duration(max))));
  }
  return duration;
}

Milliseconds Arguments::bounded_wait(std::string_view name, Milliseconds fallback) {
  const auto* text = request_.parameter(name);
  if (!text) return fallback;
  const auto duration = parse_duration(*text);
  if (!duration) {
    fail(bad(fmt::format("{} is not a duration: {}.", name, kDurationRule)));
    return fallback;
  }
  if (duration->count() < 0 || *duration > kMaxWait) {
    fail(bad(fmt::format("{} is at most {}.", name, format_duration(kMaxWait))));
    return fallback;
  }
  return *duration;
}

Milliseconds Arguments::wait() {
  return bounded_wait("wait", Milliseconds{0});
}

std::optional<std::uint64_t> Arguments::number(std::string_view name) {
  const auto* text = request_.parameter(name);
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (ec != std::errc() || end != text->data() + text->size() || value > INT64_MAX) {
    fail(bad(fmt::format("{} is not a whole number.", name)));
    return std::nullopt;
  }
  return value;
}

std::optional<Sha256> Arguments::fingerprint() {
  const auto* text = request_.parameter("fingerprint");
  if (!text) return std::nullopt;
  const auto bytes = text->size() == 64 ? hex_decode(*text) : std::nullopt;
  if (!bytes) {
    fail(bad("fingerprint is not the 64 hex digits of a SHA-256."));
    return std::nullopt;
  }
  Sha256 out;
  std::ranges::copy(*bytes, out.begin());
  return out;
}

std::optional<node::OnExpiry> Arguments::on_expiry() {
  const auto* text = request_.parameter("on_expiry");
  if (!text) return std::nullopt;
  if (*text == "retry") return node::OnExpiry::kRetry;
  if (*text == "hold") return node::OnExpiry::kHold;
  fail(bad("on_expiry is retry or hold."));
  return std::nullopt;
}

bool Arguments::flag(std::string_view name) {
  const auto* text = request_.parameter(name);
  if (!text || *text == "false" || *text == "0") return false;
  if (text->empty() || *text == "true" || *text == "1") return true;
  fail(bad(fmt::format("{} is true or false.", name)));
  return false;
}

std::size_t Arguments::limit() {
  const auto given = number("limit");
  if (!given) return kListed;
  if (*given < 1 || *given > kMaxListed) fail(bad(fmt::format("limit is 1 to {}.", kMaxListed)));
  return static_cast<std::size_t>(*given);
}

Milliseconds Arguments::timeout() {
  return bounded_wait("timeout", node::Ack{}.timeout);
}

node::Ack Arguments::ack() {
  node::Ack ack;
  ack.timeout = timeout();
  const std::string wanted = text("ack").value_or("local");
  if (wanted == "local") {
    ack.kind = node::Ack::Kind::kLocal;
  } else if (wanted == "log") {
    ack.kind = node::Ack::Kind::kLog;
  } else if (wanted == "all") {
    ack.kind = node::Ack::Kind::kAll;
  } else if (valid_node_name(wanted)) {
    ack.kind = node::Ack::Kind::kNode;
    ack.node = wanted;
  } else {
    fail(bad("ack is local, log, all or a node's name."));
  }
  return ack;
}

std::string Arguments::one_of(std::string_view name, std::initializer_list<std::string_view> allowed) {
  const auto* text = request_.parameter(name);
  if (!text || text->empty()) return {};
  if (std::ranges::find(allowed, *text) == allowed.end()) {
    fail(bad(fmt::format("{} is one of: {}.", name, fmt::join(allowed, ", "))));
  }
  return *text;
}

node::Condition Arguments::condition() {
  node::Condition condition;
  const auto* match = request_.head.field("if-match");
  const auto* none = request_.head.field("if-none-match");
  if (match) {
    condition.if_match = parse_etag(*match);
    if (!condition.if_match) fail(bad("If-Match is not one version (the ETag of an earlier answer)."));
  }
  if (none) {
    condition.if_none_match = *none == "*";
    if (!condition.if_none_match) fail(bad("If-None-Match on a write is * or nothing."));
  }
  if (match && none) fail(bad("If-Match and If-None-Match exclude each other."));
  return condition;
}

std::optional<std::string> Arguments::idempotency_key() {
  const auto* header = request_.head.field("idempotency-key");
  if (!header) return std::nullopt;
  std::string id = *header;
  if (id.size() >= 2 && id.front() == '"' && id.back() == '"') id = id.substr(1, id.size() - 2);
  if (!valid_request_id(id))
    fail(bad("Idempotency-Key is not a request id (1 to 255 visible ASCII characters without \" and \\)."));
  return id;
}

}  // namespace refrain::server
