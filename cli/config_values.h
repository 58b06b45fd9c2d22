// SPDX-License-Identifier: Apache-2.0
// Values as they stand in a file, a variable or a flag. Each parser takes the whole text or says in words
// what it wants: "is not a duration such as 30s". Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "node/config.h"

namespace refrain::cli {

/// The value, or the end of a sentence that begins with the value's text.
template <class T>
using Parsed = tl::expected<T, std::string>;

Parsed<std::uint64_t> parse_count(std::string_view text, std::uint64_t least, std::uint64_t most);
Parsed<std::uint64_t> parse_size(std::string_view text, std::uint64_t least, std::uint64_t most);
Parsed<Milliseconds> parse_span(std::string_view text, Milliseconds least, Milliseconds most);
Parsed<bool> parse_bool(std::string_view text);
Parsed<node::Scope> parse_scope(std::string_view text);
Parsed<std::vector<std::string>> parse_list(std::string_view text);  // comma list; no empty item
Parsed<std::string> parse_broker(std::string_view text);             // host or host:port
Parsed<std::string> parse_url(std::string_view text);                // http(s)://host[:port], without a path

struct Listen {
  std::string host;  // an IP address without brackets
  std::uint16_t port = 0;
};
Parsed<Listen> parse_listen(std::string_view text);
std::string format_listen(const std::string& host, std::uint16_t port);
bool is_loopback(const std::string& host);
bool is_any_address(const std::string& host);  // 0.0.0.0 or ::

std::string format_size(std::uint64_t bytes);  // "512KiB": exact, largest unit

}  // namespace refrain::cli
