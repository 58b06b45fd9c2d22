// SPDX-License-Identifier: Apache-2.0
#include "server/target.h"

#include <algorithm>

#include "base/text.h"

namespace refrain::server {
namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return invalid("invalid", "A '%' in the URL is not followed by two hex digits.");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

Target split_target(std::string_view target) {
  Target out;
  const auto question = std::min(target.find('?'), target.size());
  out.path = target.substr(0, question);
  if (question < target.size()) out.query = target.substr(question + 1);
  std::string_view rest = out.path;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the slash before the segment
    const auto slash = std::min(rest.find('/'), rest.size());
    out.segments.push_back(rest.substr(0, slash));
    rest.remove_prefix(slash);
  }
  return out;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const auto equals = std::min(part.find('='), part.size());
    auto name = percent_decode(part.substr(0, equals), true);
    if (!name) return name.error();
    auto value = percent_decode(part.substr(std::min(equals + 1, part.size())), true);
    if (!value) return value.error();
    if (!valid_utf8(*name) || !valid_utf8(*value)) return invalid("invalid", "The query is not UTF-8.");
    const bool twice = std::ranges::any_of(out, [&](const auto& known) { return known.first == *name; });
    if (twice) return invalid("invalid", "The query parameter " + *name + " stands twice.");
    out.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

}  // namespace refrain::server
