// SPDX-License-Identifier: Apache-2.0
// JSON bodies, taken strictly: UTF-8, no member twice, nothing after the value, depth at most 16, unknown
// members refused.
#pragma once
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace refrain::server {

/// The error names the byte at which it is broken.
Result<boost::json::value> parse_json(std::string_view text);

/// Reads the members of one object. The first error is kept in `error`, shared by all readers of a body;
/// after it every read gives nothing. `null` counts as absent.
class ObjectReader {
 public:
  /// `where` is the place in words, for messages: "operations[2].put".
  ObjectReader(const boost::json::value& value, std::string where, std::optional<Error>& error);

  std::optional<std::string> text(std::string_view name);
  std::optional<std::string> bytes(std::string_view name);  // `name` as UTF-8 text, or `name`_base64
  std::optional<bool> flag(std::string_view name);
  std::optional<std::uint64_t> number(std::string_view name, std::uint64_t max);
  std::optional<Milliseconds> duration(std::string_view name);
  const boost::json::array* list(std::string_view name);
  const boost::json::value* object(std::string_view name);
  bool has(std::string_view name);  // also when it is null

  std::string required_text(std::string_view name);

  /// Refuses members that nobody asked for.
  void finish();
  void fail(Error error);
  const std::string& where() const { return where_; }

 private:
  const boost::json::value* find(std::string_view name);
  void wrong_type(std::string_view name, std::string_view wanted);
  std::string path(std::string_view name) const;

  const boost::json::object* object_ = nullptr;
  std::string where_;
  std::optional<Error>& error_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace refrain::server
