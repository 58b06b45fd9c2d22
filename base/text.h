// SPDX-License-Identifier: Apache-2.0
// The text forms that users see: names, versions, commit ids, times, durations, sizes. Parsers take the whole
// string or fail.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"

namespace refrain {

bool valid_node_name(std::string_view text);  // [a-z0-9][a-z0-9-]{0,31} and none of local, log, all, claims
bool valid_cluster_name(std::string_view text);  // [a-z0-9][a-z0-9-]{0,31}
bool valid_namespace(
    std::string_view text);  // [a-z0-9][a-z0-9_-]{0,63}; ours start with '_' and are not valid here
bool valid_request_id(std::string_view text);  // 1-255 of 0x21-0x7E without '"' and '\', not "." or ".."
bool valid_key(std::string_view text,
               std::size_t max_bytes);  // UTF-8 without U+0000-1F and 7F; no empty, "." or ".." segment
bool valid_utf8(std::string_view text);

std::string format_hex64(std::uint64_t value);  // 16 lower-case digits
std::optional<std::uint64_t> parse_hex64(std::string_view text);

std::string format_version(const Version& version);  // 16 hex digits, '-', node
std::optional<Version> parse_version(std::string_view text);
std::string format_commit_id(const CommitId& id);  // node.incarnation.seq
/// Incarnation 0 when the short form `eu.5` was given: the caller puts the newest one.
std::optional<CommitId> parse_commit_id(std::string_view text);

std::string format_time(WallMs time);  // RFC 3339, UTC, milliseconds
std::string format_duration(
    Milliseconds duration);  // "1500ms", "30s", "5m", "1h", "30d": exact, largest unit
std::optional<Milliseconds> parse_duration(std::string_view text);  // integer + ms|s|m|h|d
std::optional<std::uint64_t> parse_bytes(std::string_view text);    // integer, or integer + KiB|MiB|GiB

std::string base64_encode(std::string_view bytes);  // standard alphabet, padded
std::optional<std::string> base64_decode(std::string_view text);
std::string base64url_encode(std::string_view bytes);  // no padding
std::optional<std::string> base64url_decode(std::string_view text);
std::string hex_encode(std::string_view bytes);
std::optional<std::string> hex_decode(std::string_view text);

}  // namespace refrain
