// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace refrain {
namespace {

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/// [a-z0-9] followed by up to max_bytes - 1 of [a-z0-9] and `others`.
bool is_name(std::string_view text, std::size_t max_bytes, std::string_view others) {
  if (text.empty() || text.size() > max_bytes || !is_lower_or_digit(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return is_lower_or_digit(c) || others.find(c) != std::string_view::npos;
  });
}

/// Digits only and in the one form that we write: no sign, no leading zero.
std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Bytes of the UTF-8 character at the start of `text`; 0 when there is none (Unicode 15, table 3-7).
std::size_t utf8_length(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  auto in = [&](std::size_t i, std::uint8_t low, std::uint8_t high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  std::uint8_t first = byte(0);
  if (first <= 0x7F) return 1;
  if (first >= 0xC2 && first <= 0xDF) return in(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    std::uint8_t low = first == 0xE0 ? 0xA0 : 0x80;   // overlong
    std::uint8_t high = first == 0xED ? 0x9F : 0xBF;  // surrogates
    return in(1, low, high) && in(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    std::uint8_t low = first == 0xF0 ? 0x90 : 0x80;   // overlong
    std::uint8_t high = first == 0xF4 ? 0x8F : 0xBF;  // above U+10FFFF
    return in(1, low, high) && in(2, 0x80, 0xBF) && in(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

bool segment_names_something(std::string_view segment) {
  return !segment.empty() && segment != "." && segment != "..";
}

struct DurationUnit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr std::array kDurationUnits = {DurationUnit{"d", 86'400'000}, DurationUnit{"h", 3'600'000},
                                       DurationUnit{"m", 60'000}, DurationUnit{"s", 1'000},
                                       DurationUnit{"ms", 1}};

// A hundred years: twice that in nanoseconds still fits 64 bits, so no sum of a time and a duration
// overflows.
constexpr std::uint64_t kLongestMs = 36'500ULL * 86'400'000ULL;

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode64(std::string_view bytes, std::string_view alphabet) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  int held = 0;
  for (char c : bytes) {
    bits = (bits << 8 | static_cast<std::uint8_t>(c)) & 0xFFFFFF;
    held += 8;
    for (; held >= 6; held -= 6) out.push_back(alphabet[bits >> (held - 6) & 0x3F]);
  }
  if (held > 0) out.push_back(alphabet[bits << (6 - held) & 0x3F]);
  return out;
}

std::array<std::int8_t, 256> reversed(std::string_view alphabet) {
  std::array<std::int8_t, 256> table;
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::int8_t>(i);
  return table;
}

/// Without padding. Bits that encode64() would have left zero must be zero, so that each value has one text.
std::optional<std::string> decode64(std::string_view text, const std::array<std::int8_t, 256>& table) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    std::int8_t digit = table[static_cast<std::uint8_t>(c)];
    if (digit < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<std::uint32_t>(digit)) & 0xFFFFFF;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out.push_back(static_cast<char>(bits >> held));
    }
  }
  if (bits & ((1U << held) - 1)) return std::nullopt;
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool valid_cluster_name(std::string_view text) {
  return is_name(text, 32, "-");
}

bool valid_node_name(std::string_view text) {
  return valid_cluster_name(text) && text != "local" && text != "log" && text != "all" && text != "claims";
}

bool valid_namespace(std::string_view text) {
  return is_name(text, 64, "_-");
}

bool valid_request_id(std::string_view text) {
  if (text.empty() || text.size() > 255 || text == "." || text == "..") return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= 0x21 && c <= 0x7E && c != '"' && c != '\\'; });
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool valid_key(std::string_view text, std::size_t max_bytes) {
  if (text.empty() || text.size() > max_bytes || !valid_utf8(text)) return false;
  bool has_control = std::any_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<std::uint8_t>(c) < 0x20 || c == 0x7F; });
  if (has_control) return false;
  for (std::size_t slash = 0; slash != std::string_view::npos;) {
    slash = text.find('/');
    if (!segment_names_something(text.substr(0, slash))) return false;
    if (slash != std::string_view::npos) text.remove_prefix(slash + 1);
  }
  return true;
}

std::string format_hex64(std::uint64_t value) {
  return fmt::format("{:016x}", value);
}

std::optional<std::uint64_t> parse_hex64(std::string_view text) {
  if (text.size() != 16) return std::nullopt;
  std::uint64_t value = 0;
  for (char c : text) {
    int digit = hex_digit(c);
    if (digit < 0 || (c >= 'A' && c <= 'F')) return std::nullopt;
    value = value << 4 | static_cast<std::uint64_t>(digit);
  }
  return value;
}

std::string format_version(const Version& version) {
  return fmt::format("{:016x}-{}", version.hlc.value, version.node);
}

std::optional<Version> parse_version(std::string_view text) {
  if (text.size() < 18 || text[16] != '-') return std::nullopt;
  auto hlc = parse_hex64(text.substr(0, 16));
  auto node = text.substr(17);
  if (!hlc || !valid_node_name(node)) return std::nullopt;
  return Version{Hlc{*hlc}, NodeName(node)};
}

std::string format_commit_id(const CommitId& id) {
  return fmt::format("{}.{:016x}.{}", id.node, id.incarnation.value, id.seq.value);
}

std::optional<CommitId> parse_commit_id(std::string_view text) {
  auto first = text.find('.');
  auto last = text.rfind('.');
  if (first == std::string_view::npos || !valid_node_name(text.substr(0, first))) return std::nullopt;
  auto seq = parse_decimal(text.substr(last + 1));
  if (!seq || *seq == 0) return std::nullopt;
  Incarnation incarnation;
  if (first != last) {
    auto value = parse_hex64(text.substr(first + 1, last - first - 1));
    if (!value || *value == 0) return std::nullopt;
    incarnation = {*value};
  }
  return CommitId{NodeName(text.substr(0, first)), incarnation, Seq{*seq}};
}

std::string format_time(WallMs time) {
  // RFC 3339 has four digits for the year.
  constexpr std::int64_t kYear0000 = -62'167'219'200'000;
  constexpr std::int64_t kYear9999End = 253'402'300'799'999;
  std::chrono::sys_time<Milliseconds> point{Milliseconds{std::clamp(time.value, kYear0000, kYear9999End)}};
  auto day = std::chrono::floor<std::chrono::days>(point);
  std::chrono::year_month_day date{day};
  std::chrono::hh_mm_ss clock{point - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::string format_duration(Milliseconds duration) {
  std::int64_t count = duration.count();
  if (count == 0) return "0ms";
  for (const DurationUnit& unit : kDurationUnits)
    if (count % unit.milliseconds == 0) return fmt::format("{}{}", count / unit.milliseconds, unit.name);
  return {};  // not reached: every count is a multiple of 1 ms
}

std::optional<Milliseconds> parse_duration(std::string_view text) {
  auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  auto count = parse_decimal(text.substr(0, digits));
  for (const DurationUnit& unit : kDurationUnits) {
    if (text.substr(digits) != unit.name) continue;
    auto factor = static_cast<std::uint64_t>(unit.milliseconds);
    if (!count || *count > kLongestMs / factor) return std::nullopt;
    return Milliseconds{static_cast<std::int64_t>(*count * factor)};
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  auto count = parse_decimal(text.substr(0, digits));
  auto unit = text.substr(digits);
  int shift = unit.empty() ? 0 : unit == "KiB" ? 10 : unit == "MiB" ? 20 : unit == "GiB" ? 30 : -1;
  if (!count || shift < 0 || *count > (UINT64_MAX >> shift)) return std::nullopt;
  return *count << shift;
}

std::string base64_encode(std::string_view bytes) {
  std::string out = encode64(bytes, kBase64);
  out.append((4 - out.size() % 4) % 4, '=');
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  static const auto kTable = reversed(kBase64);
  if (text.size() % 4 != 0) return std::nullopt;
  if (text.ends_with('=')) text.remove_suffix(text.ends_with("==") ? 2 : 1);
  return decode64(text, kTable);
}

std::string base64url_encode(std::string_view bytes) {
  return encode64(bytes, kBase64Url);
}

std::optional<std::string> base64url_decode(std::string_view text) {
  static const auto kTable = reversed(kBase64Url);
  return decode64(text, kTable);
}

std::string hex_encode(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (char c : bytes) {
    out.push_back(kDigits[static_cast<std::uint8_t>(c) >> 4]);
    out.push_back(kDigits[static_cast<std::uint8_t>(c) & 0xF]);
  }
  return out;
}

std::optional<std::string> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int high = hex_digit(text[i]);
    int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high << 4 | low));
  }
  return out;
}

}  // namespace refrain
