// SPDX-License-Identifier: Apache-2.0
// refrain kv: keys and values.
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/commit_answer.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"

namespace refrain::cli {
namespace {

constexpr std::size_t kShownOfValue = 60;

std::string path_of(const Arguments& arguments) {
  return "/v1/kv/" + arguments.text("NAMESPACE") + "/" + percent_encoded_key(arguments.text("KEY"));
}

void add_conditions(const Arguments& arguments, Call& call) {
  if (arguments.has("--if-match"))
    call.headers.push_back(fmt::format("If-Match: \"{}\"", arguments.text("--if-match")));
  if (arguments.has("--if-absent")) call.headers.push_back("If-None-Match: *");
  if (arguments.has("--idempotency-key"))
    call.headers.push_back("Idempotency-Key: " + arguments.text("--idempotency-key"));
}

int put(Context& context, const Arguments& arguments) {
  if (arguments.has("VALUE") == arguments.has("--file")) {
    context.screen.message("give either VALUE or --file (- for standard input)");
    return kUsage;
  }
  auto bytes = arguments.has("VALUE") ? std::optional(arguments.text("VALUE"))
                                      : read_input(context, arguments.text("--file"));
  if (!bytes) return kFailed;
  Target target(path_of(arguments));
  if (arguments.has("--ttl")) target.with("ttl", arguments.text("--ttl"));
  Call call{.method = "PUT",
            .target = "",
            .headers = {},
            .body = std::move(*bytes),
            .content_type = "application/octet-stream"};
  add_conditions(arguments, call);
  return send_commit(context, arguments, target, call);
}

int remove(Context& context, const Arguments& arguments) {
  Target target(path_of(arguments));
  Call call{.method = "DELETE", .target = "", .headers = {}, .body = "", .content_type = ""};
  add_conditions(arguments, call);
  return send_commit(context, arguments, target, call);
}

int get(Context& context, const Arguments& arguments) {
  Target target(path_of(arguments));
  Call call;
  add_wait(arguments, target, call);
  call.target = target.text();
  send_session(arguments, call);
  auto answer = ask(context, call);
  if (!answer) return answer.error();
  context.screen.bytes(answer->body);
  if (context.screen.terminal() && !answer->body.ends_with('\n')) context.screen.bytes("\n");
  if (std::string open = answer->header("refrain-conflicts"); !open.empty() && open != "0")
    context.screen.message(
        fmt::format("{} open conflict(s) on this key: refrain conflicts ls --open --ns {} --key {}", open,
                    arguments.text("NAMESPACE"), arguments.text("KEY")));
  return keep_session(context, arguments, *answer);
}

/// What fits into a column; on a pipe the whole value.
std::string shown(const Context& context, const std::string& bytes) {
  if (!context.screen.terminal() || bytes.size() <= kShownOfValue) return bytes;
  return fmt::format("{}... ({} bytes)", bytes.substr(0, kShownOfValue), bytes.size());
}

int scan(Context& context, const Arguments& arguments) {
  Target target("/v1/kv/" + arguments.text("NAMESPACE"));
  for (const char* name : {"prefix", "after", "limit"})
    if (arguments.has(std::string("--") + name)) target.with(name, arguments.text(std::string("--") + name));
  bool values = arguments.has("--values");
  if (values) target.with("values", "true");
  Call call{.method = "GET", .target = "", .headers = {}, .body = "", .content_type = ""};
  add_wait(arguments, target, call);
  call.target = target.text();
  send_session(arguments, call);
  auto answer = ask(context, call);
  if (!answer) return answer.error();
  if (context.json) {
    print_json(context, answer->body);
    return keep_session(context, arguments, *answer);
  }
  auto body = parse_json(context, answer->body);
  if (!body) return kFailed;
  Table table{{"KEY", "VERSION"}, {}};
  if (values) table.header.push_back("VALUE");
  for (const json::value& item : list(*body, "items")) {
    table.rows.push_back({text(item, "key"), text(item, "version")});
    if (values) table.rows.back().push_back(shown(context, bytes(item, "value")));
  }
  context.screen.table(table);
  say_if_more(context, *body);
  return keep_session(context, arguments, *answer);
}

std::vector<Option> write_options(std::vector<Option> first) {
  first.push_back(value("--if-match", "VERSION", "only while this is the key's version here", check_version));
  for (Option& option : commit_options()) first.push_back(std::move(option));
  first.push_back(session_option());
  return first;
}

}  // namespace

std::vector<Command> kv_commands() {
  Option ns = positional("NAMESPACE", "its namespace", check_namespace);
  Option key = positional("KEY", "its name", check_key);
  Option wait = value("--wait", "DURATION", "wait so long for what --session-file says was seen (up to 60s)",
                      check_duration);
  return {
      {{"kv", "get"},
       "prints a value as it is",
       {ns, key, session_option(), wait},
       {"refrain kv get orders 1001", "refrain kv get orders 1001 --session-file seen --wait 2s"},
       true,
       false,
       get},
      {{"kv", "put"},
       "writes a value",
       write_options({ns, key, optional_positional("VALUE", "the value; or use --file"),
                      value("--file", "FILE", "take the value from this file, - for standard input"),
                      value("--ttl", "DURATION", "the key is gone after this; without it, it has no end",
                            check_duration),
                      flag("--if-absent", "only while there is no such key here"),
                      value("--idempotency-key", "ID",
                            "the same id again gets the first answer and writes nothing", check_request_id)}),
       {"refrain kv put orders 1001 paid",
        "refrain kv put orders 1001 --file order.json --ack all --timeout 10s",
        "date | refrain kv put jobs last-run --file - --ttl 1h"},
       true,
       false,
       put},
      {{"kv", "del"},
       "deletes a key, here and everywhere",
       write_options({ns, key}),
       {"refrain kv del orders 1001"},
       true,
       false,
       remove},
      {{"kv", "scan"},
       "lists keys in bytewise order",
       {ns, value("--prefix", "TEXT", "only keys that begin so"),
        value("--after", "KEY", "go on behind this key"),
        value("--limit", "N", "at most so many (up to 1000)", check_limit),
        flag("--values", "the values as well"), session_option(), wait},
       {"refrain kv scan orders --prefix 2026/ --values"},
       true,
       false,
       scan},
  };
}

}  // namespace refrain::cli
