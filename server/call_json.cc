// SPDX-License-Identifier: Apache-2.0
#include "server/call_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <set>

#include "base/text.h"
#include "server/arguments.h"

namespace refrain::server {
namespace {

Error bad(std::string detail) {
  return invalid("invalid", std::move(detail));
}

/// {"us": "01949b2f00000000", "*": ...}: per node, what had been seen of the key.
void read_seen(ObjectReader& in, node::Write& write) {
  const auto* value = in.object("if_seen");
  if (!value) return;
  Vector seen;
  for (const auto& [name, hlc] : value->as_object()) {
    const auto parsed = hlc.is_string() ? parse_hex64(std::string_view(hlc.get_string())) : std::nullopt;
    const std::string node(name);
    if (!parsed || (node != node::kAnyNode && !valid_node_name(node))) {
      in.fail(bad(in.where() + ".if_seen is not an object of node names, or *, with 16 hex digits each."));
      return;
    }
    seen[node] = {*parsed};
  }
  write.condition.if_seen = std::move(seen);
}

void read_condition(ObjectReader& in, node::Write& write) {
  read_seen(in, write);
  if (auto text = in.text("if_match")) {
    write.condition.if_match = parse_etag(*text);
    if (!write.condition.if_match) in.fail(bad(in.where() + ".if_match is not a version."));
  }
}

void read_put_only(ObjectReader& in, node::Write& write, const node::Limits& limits) {
  write.value = in.bytes("value");
  if (!write.value) in.fail(bad(in.where() + ".value (or value_base64) is missing."));
  if (write.value) {
    if (auto error = check_value(write.value->size(), limits)) in.fail(std::move(*error));
  }
  write.ttl = in.duration("ttl");
  if (write.ttl && (write.ttl->count() <= 0 || *write.ttl > kMaxTtl)) {
    in.fail(bad(in.where() + ".ttl must be more than 0 and at most " + format_duration(kMaxTtl) + "."));
  }
  write.condition.if_none_match = in.flag("if_none_match").value_or(false);
  if (write.condition.if_none_match && write.condition.if_match) {
    in.fail(bad(in.where() + ": if_match and if_none_match exclude each other."));
  }
}

node::Write read_write(const boost::json::value& value, const std::string& where, bool put,
                       const node::Limits& limits, std::optional<Error>& error) {
  node::Write write;
  ObjectReader in(value, where, error);
  write.ns = in.required_text("ns");
  write.key = in.required_text("key");
  if (!error) {
    if (auto wrong = check_kv_namespace(write.ns)) in.fail(std::move(*wrong));
  }
  if (!error) {
    if (auto wrong = check_key(write.key, limits)) in.fail(std::move(*wrong));
  }
  read_condition(in, write);
  if (put) read_put_only(in, write, limits);
  in.finish();
  return write;
}

node::Write read_operation(const boost::json::value& value, std::size_t index, const node::Limits& limits,
                           std::optional<Error>& error) {
  const auto where = fmt::format("operations[{}]", index);
  ObjectReader in(value, where, error);
  const auto* put = in.object("put");
  const auto* remove = in.object("delete");
  in.finish();
  if (!put == !remove) in.fail(bad(where + " is not one of put and delete."));
  if (error) return {};
  return read_write(put ? *put : *remove, where + (put ? ".put" : ".delete"), put != nullptr, limits, error);
}

}  // namespace

std::vector<node::Write> read_operations(ObjectReader& body, const node::Limits& limits,
                                         std::uint64_t extra_bytes) {
  std::vector<node::Write> writes;
  const auto* list = body.list("operations");
  if (!list) return writes;
  std::optional<Error> error;
  std::set<std::pair<std::string_view, std::string_view>> keys;
  std::uint64_t bytes = extra_bytes;
  writes.reserve(list->size());
  for (std::size_t i = 0; i < list->size() && !error; ++i) {
    writes.push_back(read_operation((*list)[i], i, limits, error));
    const auto& write = writes.back();
    bytes += write.ns.size() + write.key.size() + (write.value ? write.value->size() : 0);
    if (!error && !keys.emplace(write.ns, write.key).second) {
      error = invalid("duplicate_key",
                      fmt::format("operations[{}] names a key that an earlier one names. A commit "
                                  "holds a key once.",
                                  i));
    }
    if (error && !error->operation) error->operation = i;
  }
  if (!error && bytes > limits.commit_bytes) {
    error = invalid(
        "commit_too_large",
        fmt::format("The commit has {} bytes; the limit is {} (limits.commit).", bytes, limits.commit_bytes));
  }
  if (error) body.fail(std::move(*error));
  return writes;
}

namespace {

/// It becomes a header of the replay: a CR or LF in it would let a caller write headers into another's
/// answer.
bool valid_content_type(std::string_view text) {
  return !text.empty() && text.size() <= 255 &&
         std::ranges::all_of(text, [](unsigned char c) { return c >= 0x20 && c < 0x7F; });
}

node::StoredResponse read_stored(const boost::json::value& value, const node::Limits& limits,
                                 ObjectReader& body, std::optional<Error>& error) {
  node::StoredResponse response;
  ObjectReader in(value, "response", error);
  response.status = static_cast<std::uint32_t>(in.number("status", 999).value_or(200));
  if (auto type = in.text("content_type")) response.content_type = std::move(*type);
  if (!valid_content_type(response.content_type)) {
    in.fail(bad("response.content_type is not 1 to 255 visible ASCII characters."));
  }
  response.body = in.bytes("body").value_or(std::string());
  if (response.body.size() > limits.response_bytes) {
    in.fail(invalid("response_over_limit",
                    fmt::format("The response has {} bytes; the limit is {} (limits.response). Complete with "
                                "\"response\": null, \"too_large\": true instead.",
                                response.body.size(), limits.response_bytes)));
  }
  in.finish();
  if (error) body.fail(*error);
  return response;
}

}  // namespace

void read_response(ObjectReader& body, const node::Limits& limits,
                   std::optional<node::StoredResponse>& response, bool& too_large) {
  const bool given = body.has("response");
  const auto* value = body.object("response");
  too_large = body.flag("too_large").value_or(false);
  if (!given)
    body.fail(bad(
        "response is missing. An empty one is {}; one that is too large is null, with \"too_large\": true."));
  if (given && !value && !too_large) body.fail(bad("response is null, but \"too_large\": true is not said."));
  if (value && too_large) body.fail(bad("response and too_large exclude each other."));
  if (!value) return;
  std::optional<Error> error;
  response = read_stored(*value, limits, body, error);
}

}  // namespace refrain::server
