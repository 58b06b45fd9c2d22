// SPDX-License-Identifier: Apache-2.0
// The target of a request: split first, decoded once. Pure.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace refrain::server {

/// %XX once; a '%' without two hex digits is an error. '+' means a space in queries only.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

struct Target {
  std::vector<std::string_view>
      segments;            // between the slashes, still encoded; views of the request's target
  std::string_view path;   // without the query
  std::string_view query;  // after the '?', still encoded
};
Target split_target(std::string_view target);

/// Name and value of each `name=value`, decoded, UTF-8; a name twice is an error.
Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

}  // namespace refrain::server
