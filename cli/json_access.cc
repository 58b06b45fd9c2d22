// SPDX-License-Identifier: Apache-2.0
#include "cli/json_access.h"

#include "base/text.h"

namespace refrain::cli {

const json::value* member(const json::value& object, std::string_view name) {
  const json::object* members = object.if_object();
  const json::value* found = members ? members->if_contains(name) : nullptr;
  return found && !found->is_null() ? found : nullptr;
}

std::string text(const json::value& object, std::string_view name, std::string otherwise) {
  const json::value* found = member(object, name);
  if (!found) return otherwise;
  if (const json::string* string = found->if_string()) return std::string(*string);
  return json::serialize(*found);
}

std::optional<std::int64_t> number(const json::value& object, std::string_view name) {
  const json::value* found = member(object, name);
  if (!found || !found->is_number()) return std::nullopt;
  boost::system::error_code error;
  auto whole = found->to_number<std::int64_t>(error);
  if (error) return std::nullopt;
  return whole;
}

std::int64_t number_or_zero(const json::value& object, std::string_view name) {
  return number(object, name).value_or(0);
}

bool truth(const json::value& object, std::string_view name) {
  const json::value* found = member(object, name);
  return found && found->is_bool() && found->get_bool();
}

const json::array& list(const json::value& object, std::string_view name) {
  static const json::array kNone;
  const json::value* found = member(object, name);
  return found && found->is_array() ? found->get_array() : kNone;
}

std::string joined(const json::value& object, std::string_view name) {
  std::string out;
  for (const json::value& item : list(object, name)) {
    if (!out.empty()) out += ", ";
    out += item.is_string() ? std::string(item.get_string()) : json::serialize(item);
  }
  return out;
}

std::string bytes(const json::value& object, std::string_view name) {
  if (member(object, name)) return text(object, name);
  return base64_decode(text(object, std::string(name) + "_base64")).value_or("");
}

void put_bytes(json::object& object, std::string_view name, std::string_view bytes) {
  if (valid_utf8(bytes))
    object[name] = bytes;
  else
    object[std::string(name) + "_base64"] = base64_encode(bytes);
}

std::string formats_text(const json::value& of_member) {
  const json::value* formats = member(of_member, "formats");
  if (!formats) return "-";
  std::string least = text(*formats, "min");
  std::string most = text(*formats, "max");
  return least == most ? most : least + "-" + most;
}

std::string formats_that_differ(const json::value& answer) {
  auto written = number(answer, "format");
  bool differ = false;
  std::string all;
  for (const json::value& one : list(answer, "members")) {
    const json::value* formats = member(one, "formats");
    if (!formats || text(one, "state") == "over") continue;
    differ = differ || (written && number_or_zero(*formats, "max") > *written);
    all += (all.empty() ? "" : ", ") + text(one, "node") + " reads " + formats_text(one);
  }
  return differ ? all : "";
}

}  // namespace refrain::cli
