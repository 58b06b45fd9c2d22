// SPDX-License-Identifier: Apache-2.0
#include "cli/config_values.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace refrain::cli {
namespace {

tl::unexpected<std::string> wrong(std::string what) {
  return tl::unexpected<std::string>(std::move(what));
}

bool is_ip_address(const std::string& host) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 || inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

Parsed<std::uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  bool whole = error == std::errc{} && end == text.data() + text.size() && !text.empty();
  if (!whole || port > 65'535) return wrong("has no port from 0 to 65535");
  return static_cast<std::uint16_t>(port);
}

bool plain_host(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

/// host, host:port, [v6] or [v6]:port.
bool host_with_port(std::string_view text) {
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    auto close = text.find(']');
    if (close == std::string_view::npos || !is_ip_address(std::string(text.substr(1, close - 1))))
      return false;
    host = "v6";
    port = text.substr(close + 1);
  } else if (auto colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon);
  }
  if (!plain_host(host)) return false;
  return port.empty() || (port.front() == ':' && parse_port(port.substr(1)).value_or(0) != 0);
}

}  // namespace

Parsed<std::uint64_t> parse_count(std::string_view text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = error == std::errc{} && end == text.data() + text.size() && !text.empty();
  if (!whole || value < least || value > most)
    return wrong(fmt::format("is not a whole number from {} to {}", least, most));
  return value;
}

Parsed<std::uint64_t> parse_size(std::string_view text, std::uint64_t least, std::uint64_t most) {
  auto value = parse_bytes(text);
  if (!value) return wrong("is not a size such as 512KiB (a number of bytes, or with KiB, MiB or GiB)");
  if (*value < least || *value > most)
    return wrong(fmt::format("is not from {} to {}", format_size(least), format_size(most)));
  return *value;
}

Parsed<Milliseconds> parse_span(std::string_view text, Milliseconds least, Milliseconds most) {
  auto value = parse_duration(text);
  if (!value) return wrong("is not a duration such as 30s (a whole number with ms, s, m, h or d)");
  if (*value < least || *value > most)
    return wrong(fmt::format("is not from {} to {}", format_duration(least), format_duration(most)));
  return *value;
}

Parsed<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return wrong("is neither true nor false");
}

Parsed<node::Scope> parse_scope(std::string_view text) {
  using Kind = node::Scope::Kind;
  if (text == "local") return node::Scope{Kind::kLocal, ""};
  if (text == "global") return node::Scope{Kind::kGlobal, ""};
  if (text.starts_with("home:") && valid_node_name(text.substr(5)))
    return node::Scope{Kind::kHome, NodeName(text.substr(5))};
  return wrong("is none of local, home:NODE, global");
}

Parsed<std::vector<std::string>> parse_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    auto comma = text.find(',');
    auto item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    bool dangling = comma != std::string_view::npos && comma + 1 == text.size();
    if (item.empty() || dangling) return wrong("has an empty item");
    items.emplace_back(item);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return items;
}

Parsed<std::string> parse_broker(std::string_view text) {
  if (!host_with_port(text)) return wrong("is not a broker such as kafka-1:9092");
  return std::string(text);
}

Parsed<std::string> parse_url(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  else if (rest.starts_with("https://"))
    rest.remove_prefix(8);
  else
    rest = {};
  if (rest.ends_with('/')) {
    rest.remove_suffix(1);
    text.remove_suffix(1);
  }
  if (!host_with_port(rest)) return wrong("is not a URL such as http://eu.shop:8080 (without a path)");
  return std::string(text);
}

Parsed<Listen> parse_listen(std::string_view text) {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("is not an address and a port such as 127.0.0.1:8080");
  auto port = parse_port(text.substr(colon + 1));
  if (!port) return wrong(port.error());
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return wrong("needs brackets around its IPv6 address: [::1]:8080");
  Listen listen{host == "localhost" ? "127.0.0.1" : std::string(host), *port};
  if (!is_ip_address(listen.host)) return wrong("does not begin with an IP address (or localhost)");
  return listen;
}

std::string format_listen(const std::string& host, std::uint16_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

bool is_loopback(const std::string& host) {
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

bool is_any_address(const std::string& host) {
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return v4.s_addr == INADDR_ANY;
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

std::string format_size(std::uint64_t bytes) {
  if (bytes != 0 && bytes % node::kGiB == 0) return fmt::format("{}GiB", bytes / node::kGiB);
  if (bytes != 0 && bytes % node::kMiB == 0) return fmt::format("{}MiB", bytes / node::kMiB);
  if (bytes != 0 && bytes % node::kKiB == 0) return fmt::format("{}KiB", bytes / node::kKiB);
  return fmt::format("{}", bytes);
}

}  // namespace refrain::cli
