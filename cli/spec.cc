// SPDX-License-Identifier: Apache-2.0
#include "cli/spec.h"

#include "base/text.h"
#include "cli/config_values.h"

namespace refrain::cli {
namespace {

std::optional<std::string> unless(bool good, const char* wrong) {
  return good ? std::nullopt : std::optional<std::string>(wrong);
}

template <class T>
std::optional<std::string> error_of(const Parsed<T>& parsed) {
  return parsed ? std::nullopt : std::optional<std::string>(parsed.error());
}

constexpr std::size_t kLongestKey = 1024;
constexpr Milliseconds kAnyDuration = 36'500 * node::kDay;

}  // namespace

Option positional(std::string name, std::string help, Check check) {
  return {std::move(name), "", std::move(help), Option::Kind::kPositional, true, check};
}
Option optional_positional(std::string name, std::string help, Check check) {
  return {std::move(name), "", std::move(help), Option::Kind::kPositional, false, check};
}
Option value(std::string name, std::string of, std::string help, Check check) {
  return {std::move(name), std::move(of), std::move(help), Option::Kind::kValue, false, check};
}
Option required_value(std::string name, std::string of, std::string help, Check check) {
  return {std::move(name), std::move(of), std::move(help), Option::Kind::kValue, true, check};
}
Option word(std::string name, std::string help, std::vector<std::string> words) {
  return {std::move(name), "WORD", std::move(help), Option::Kind::kValue, false, nullptr, std::move(words)};
}
Option flag(std::string name, std::string help) {
  return {std::move(name), "", std::move(help), Option::Kind::kFlag, false, nullptr};
}

std::optional<std::string> check_namespace(std::string_view text) {
  return unless(valid_namespace(text),
                "is not a namespace (1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit)");
}
std::optional<std::string> check_read_namespace(std::string_view text) {
  if (text.starts_with("_http-") && valid_namespace(text.substr(6))) return std::nullopt;
  return check_namespace(text);
}
std::optional<std::string> check_key(std::string_view text) {
  return unless(valid_key(text, kLongestKey),
                "is not a key (1 to 1024 bytes of UTF-8 without control characters; no empty, '.' or '..' "
                "between slashes)");
}
std::optional<std::string> check_request_id(std::string_view text) {
  return unless(valid_request_id(text),
                "is not a request id (1 to 255 visible ASCII characters without \" and \\)");
}
std::optional<std::string> check_node(std::string_view text) {
  return unless(valid_node_name(text), "is not a node name (1 to 32 of a-z, 0-9 and -)");
}
std::optional<std::string> check_commit_id(std::string_view text) {
  return unless(parse_commit_id(text).has_value(),
                "is not a commit id such as eu.5 or eu.0123456789abcdef.5");
}
std::optional<std::string> check_version(std::string_view text) {
  return unless(parse_version(text).has_value(), "is not a version such as 0123456789abcdef-eu");
}
std::optional<std::string> check_duration(std::string_view text) {
  return error_of(parse_span(text, Milliseconds{0}, kAnyDuration));
}
std::optional<std::string> check_ack(std::string_view text) {
  bool good = text == "local" || text == "log" || text == "all" || valid_node_name(text);
  return unless(good, "is none of local, log, all or a node's name");
}
std::optional<std::string> check_fingerprint(std::string_view text) {
  return unless(text.size() == 64 && hex_decode(text).has_value(), "is not 64 hex digits (a SHA-256)");
}
std::optional<std::string> check_limit(std::string_view text) {
  return error_of(parse_count(text, 1, 1'000));
}
std::optional<std::string> check_number(std::string_view text) {
  return error_of(parse_count(text, 0, INT64_MAX));
}
std::optional<std::string> check_status(std::string_view text) {
  return error_of(parse_count(text, 0, 999));
}
std::optional<std::string> check_server(std::string_view text) {
  return error_of(parse_url(text));
}

}  // namespace refrain::cli
