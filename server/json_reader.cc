// SPDX-License-Identifier: Apache-2.0
#include "server/json_reader.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <unordered_set>
#include <vector>

#include "base/text.h"

namespace refrain::server {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxDepth = 16;

/// Boost's own handler keeps the last of two equal members; this one refuses them: two readers of one body
/// must not see different calls.
struct TreeBuilder {
  using Code = json::error_code;
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();

  json::value_stack stack;
  std::vector<std::unordered_set<std::string>> names;  // of the objects that are open
  std::string name;                                    // of the member under way
  std::string duplicate;

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) {
    names.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t n, Code&) {
    names.pop_back();
    stack.push_object(n);
    return true;
  }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(std::size_t n, Code&) {
    stack.push_array(n);
    return true;
  }
  bool on_key_part(json::string_view part, std::size_t, Code&) {
    name.append(part.data(), part.size());
    stack.push_chars(part);
    return true;
  }
  bool on_key(json::string_view part, std::size_t, Code& ec) {
    name.append(part.data(), part.size());
    if (!names.back().insert(name).second) {
      duplicate = name;
      ec = json::error::extra_data;
      return false;
    }
    name.clear();
    stack.push_key(part);
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, Code&) {
    stack.push_chars(part);
    return true;
  }
  bool on_string(json::string_view part, std::size_t, Code&) {
    stack.push_string(part);
    return true;
  }
  bool on_number_part(json::string_view, Code&) { return true; }
  bool on_int64(std::int64_t v, json::string_view, Code&) {
    stack.push_int64(v);
    return true;
  }
  bool on_uint64(std::uint64_t v, json::string_view, Code&) {
    stack.push_uint64(v);
    return true;
  }
  bool on_double(double v, json::string_view, Code&) {
    stack.push_double(v);
    return true;
  }
  bool on_bool(bool v, Code&) {
    stack.push_bool(v);
    return true;
  }
  bool on_null(Code&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, Code&) { return true; }
  bool on_comment(json::string_view, Code&) { return true; }
};

}  // namespace

Result<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::basic_parser<TreeBuilder> parser(options);
  parser.handler().stack.reset();
  json::error_code ec;
  const std::size_t read = parser.write_some(false, text.data(), text.size(), ec);
  if (!parser.handler().duplicate.empty()) {
    return invalid("invalid", "The JSON member \"" + parser.handler().duplicate +
                                  "\" stands twice, at byte " + std::to_string(read) + ".");
  }
  if (ec)
    return invalid("invalid",
                   "The body is no valid JSON at byte " + std::to_string(read) + ": " + ec.message() + ".");
  if (read < text.size()) {
    return invalid("invalid", "Something stands after the JSON value, at byte " + std::to_string(read) + ".");
  }
  return parser.handler().stack.release();
}

ObjectReader::ObjectReader(const json::value& value, std::string where, std::optional<Error>& error)
    : object_(value.if_object()), where_(std::move(where)), error_(error) {
  if (!object_) fail(invalid("invalid", (where_.empty() ? "The body" : where_) + " is not a JSON object."));
}

std::string ObjectReader::path(std::string_view name) const {
  return where_.empty() ? std::string(name) : where_ + "." + std::string(name);
}

void ObjectReader::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

void ObjectReader::wrong_type(std::string_view name, std::string_view wanted) {
  fail(invalid("invalid", path(name) + " is not " + std::string(wanted) + "."));
}

bool ObjectReader::has(std::string_view name) {
  asked_.emplace(name);
  return object_ && object_->contains({name.data(), name.size()});
}

const json::value* ObjectReader::find(std::string_view name) {
  asked_.emplace(name);
  if (error_ || !object_) return nullptr;
  const auto* found = object_->if_contains({name.data(), name.size()});
  return found && !found->is_null() ? found : nullptr;
}

std::optional<std::string> ObjectReader::text(std::string_view name) {
  const auto* found = find(name);
  if (!found) return std::nullopt;
  if (const auto* string = found->if_string()) return std::string(string->data(), string->size());
  wrong_type(name, "a string");
  return std::nullopt;
}

std::string ObjectReader::required_text(std::string_view name) {
  auto found = text(name);
  if (!found) fail(invalid("invalid", path(name) + " is missing."));
  return std::move(found).value_or(std::string());
}

std::optional<std::string> ObjectReader::bytes(std::string_view name) {
  const std::string encoded_name = std::string(name) + "_base64";
  auto plain = text(name);
  auto encoded = text(encoded_name);
  if (plain && encoded) {
    fail(
        invalid("invalid", path(name) + " and " + path(encoded_name) + " stand together. Send one of them."));
  }
  if (!encoded) return plain;
  auto decoded = base64_decode(*encoded);
  if (!decoded) fail(invalid("invalid", path(encoded_name) + " is not base64 (standard alphabet, padded)."));
  return decoded;
}

std::optional<bool> ObjectReader::flag(std::string_view name) {
  const auto* found = find(name);
  if (!found) return std::nullopt;
  if (const auto* flag = found->if_bool()) return *flag;
  wrong_type(name, "true or false");
  return std::nullopt;
}

std::optional<std::uint64_t> ObjectReader::number(std::string_view name, std::uint64_t max) {
  const auto* found = find(name);
  if (!found) return std::nullopt;
  json::error_code ec;
  const auto number = found->is_number() ? found->to_number<std::uint64_t>(ec) : 0;
  if (found->is_number() && !found->is_double() && !ec && number <= max) return number;
  wrong_type(name, "a whole number of 0 to " + std::to_string(max));
  return std::nullopt;
}

std::optional<Milliseconds> ObjectReader::duration(std::string_view name) {
  auto found = text(name);
  if (!found) return std::nullopt;
  auto duration = parse_duration(*found);
  if (!duration) wrong_type(name, "a duration such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"30d\"");
  return duration;
}

const json::array* ObjectReader::list(std::string_view name) {
  const auto* found = find(name);
  if (!found) return nullptr;
  if (const auto* list = found->if_array()) return list;
  wrong_type(name, "a list");
  return nullptr;
}

const json::value* ObjectReader::object(std::string_view name) {
  const auto* found = find(name);
  if (!found) return nullptr;
  if (found->is_object()) return found;
  wrong_type(name, "an object");
  return nullptr;
}

void ObjectReader::finish() {
  if (error_ || !object_) return;
  for (const auto& member : *object_) {
    const std::string_view name(member.key().data(), member.key().size());
    if (!asked_.contains(name)) {
      return fail(invalid(
          "unknown_parameter", "The member " + path(name) + " is not known here. Known: " + [&] {
            std::string known;
            for (const auto& one : asked_) known += (known.empty() ? "" : ", ") + one;
            return known;
          }() + "."));
    }
  }
}

}  // namespace refrain::server
