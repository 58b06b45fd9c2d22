// SPDX-License-Identifier: Apache-2.0
// Members of an answer, read by someone who may be older or newer than the node: what is missing or null is
// empty.
#pragma once
#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace refrain::cli {

namespace json = boost::json;

/// None when there is no such member, or when it is null.
const json::value* member(const json::value& object, std::string_view name);

/// A string as it is, a number in decimal, a bool as true or false.
std::string text(const json::value& object, std::string_view name, std::string otherwise = "");
std::optional<std::int64_t> number(const json::value& object, std::string_view name);
std::int64_t number_or_zero(const json::value& object, std::string_view name);
bool truth(const json::value& object, std::string_view name);
const json::array& list(const json::value& object, std::string_view name);

/// "eu, us" of an array of strings.
std::string joined(const json::value& object, std::string_view name);

/// A field of bytes: `name`, or `name_base64` decoded.
std::string bytes(const json::value& object, std::string_view name);

/// Puts a field of bytes: as `name` when it is UTF-8, else as `name_base64`.
void put_bytes(json::object& object, std::string_view name, std::string_view bytes);

/// The formats that a member's program reads: "1" or "1-2"; "-" when the node that was asked does not say.
std::string formats_text(const json::value& of_member);
/// "eu reads 1-2, us reads 1": of an answer with members, when one that is not over reads more than `format`.
std::string formats_that_differ(const json::value& answer);

}  // namespace refrain::cli
