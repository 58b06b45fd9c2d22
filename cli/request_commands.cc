// SPDX-License-Identifier: Apache-2.0
// refrain request: has this been done?
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/commit_answer.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"

namespace refrain::cli {
namespace {

std::string path_of(const Arguments& arguments) {
  return "/v1/requests/" + arguments.text("NAMESPACE") + "/" + percent_encoded(arguments.text("ID"));
}

/// The bytes of --data or --file; empty bytes when neither was given. After a message, the exit code instead.
tl::expected<std::string, int> given_bytes(Context& context, const Arguments& arguments) {
  if (arguments.has("--data") && arguments.has("--file")) {
    context.screen.message("give either --data or --file");
    return tl::unexpected<int>(kUsage);
  }
  if (!arguments.has("--file")) return arguments.text("--data");
  auto bytes = read_input(context, arguments.text("--file"));
  if (!bytes) return tl::unexpected<int>(kFailed);
  return std::move(*bytes);
}

Facts go_facts(const json::value& body) {
  Facts facts;
  for (const char* name :
       {"token", "fencing", "attempt", "lease_ms", "lease_until", "on_expiry", "scope", "lag_ms"}) {
    std::string title(name);
    for (char& c : title) c = c == '_' ? ' ' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    facts.add(title, text(body, name));
  }
  facts.add("BEHIND", joined(body, "behind"));
  return facts;
}

int show_go(Context& context, const Answer& answer) {
  if (context.json) return print_json(context, answer.body), kOk;
  auto body = parse_json(context, answer.body);
  if (!body) return kFailed;
  context.screen.facts(go_facts(*body));
  if (!list(*body, "behind").empty())
    context.screen.message(
        fmt::format("go, although what {} did last is not known here", joined(*body, "behind")));
  return kOk;
}

int show_replay(Context& context, const Answer& answer) {
  context.screen.bytes(answer.body);
  if (context.screen.terminal() && !answer.body.ends_with('\n')) context.screen.bytes("\n");
  context.screen.message(fmt::format("already done: this is the first answer again (status {}, {})",
                                     answer.header("refrain-status"), answer.header("content-type")));
  return kAlreadyDone;
}

int begin(Context& context, const Arguments& arguments) {
  auto payload = given_bytes(context, arguments);
  if (!payload) return payload.error();
  Target target(path_of(arguments) + "/begin");
  for (const char* name : {"lease", "on-expiry", "seen-ttl", "max-lag", "fingerprint"}) {
    std::string parameter(name);
    std::replace(parameter.begin(), parameter.end(), '-', '_');
    if (arguments.has(std::string("--") + name))
      target.with(parameter, arguments.text(std::string("--") + name));
  }
  Call call{.method = "POST",
            .target = "",
            .headers = {},
            .body = std::move(*payload),
            .content_type = "application/octet-stream"};
  add_wait(arguments, target, call);
  call.target = target.text();
  send_session(arguments, call);
  auto answer = context.transport().call(call);
  if (!answer) {
    context.screen.message(answer.error().why);
    return kNoAnswer;
  }
  int code = exit_of_begin(answer->status, answer->header("refrain-decision"));
  if (code == kOk)
    code = show_go(context, *answer);
  else if (code == kAlreadyDone)
    code = show_replay(context, *answer);
  else
    report_failure(context, *answer);
  int kept = keep_session(context, arguments, *answer);
  return code == kOk ? kept : code;
}

/// The `response` of complete and resolve. kOk, or the exit code after a message.
int add_response(Context& context, const Arguments& arguments, json::object& body) {
  if (arguments.has("--too-large")) {
    body["response"] = nullptr;
    body["too_large"] = true;
    return kOk;
  }
  auto bytes = given_bytes(context, arguments);
  if (!bytes) return bytes.error();
  json::object response;
  if (arguments.has("--status")) response["status"] = std::stoi(arguments.text("--status"));
  if (arguments.has("--content-type")) response["content_type"] = arguments.text("--content-type");
  put_bytes(response, "body", *bytes);
  body["response"] = std::move(response);
  return kOk;
}

/// As add_response().
int add_operations(Context& context, const Arguments& arguments, json::object& body) {
  if (!arguments.has("--operations")) return kOk;
  auto input = read_input(context, arguments.text("--operations"));
  if (!input) return kFailed;
  boost::system::error_code error;
  json::value operations = json::parse(*input, error);
  if (!error && operations.is_array()) {
    body["operations"] = std::move(operations);
    return kOk;
  }
  context.screen.message(
      fmt::format("{}: is no JSON array of operations such as [{{\"put\": {{\"ns\": \"a\", \"key\": \"b\", "
                  "\"value\": \"c\"}}}}]",
                  arguments.text("--operations")));
  return kUsage;
}

/// Posts JSON and shows the named parts of the answer.
int post(Context& context, const Arguments& arguments, const std::string& action, const json::object& body,
         std::initializer_list<std::pair<const char*, const char*>> parts) {
  Target target(path_of(arguments) + action);
  Call call{.method = "POST",
            .target = "",
            .headers = {},
            .body = json::serialize(body),
            .content_type = "application/json"};
  add_ack(arguments, target, call);
  call.target = target.text();
  auto answer = ask_json(context, call);
  if (!answer) return answer.error();
  Facts facts;
  for (auto [title, name] : parts) facts.add(title, text(*answer, name));
  if (!context.json) context.screen.facts(facts);
  return kOk;
}

int complete(Context& context, const Arguments& arguments) {
  json::object body;
  body["token"] = arguments.text("--token");
  if (int failed = add_response(context, arguments, body); failed != kOk) return failed;
  if (int failed = add_operations(context, arguments, body); failed != kOk) return failed;
  if (arguments.has("--response-ttl")) body["response_ttl"] = arguments.text("--response-ttl");
  if (arguments.has("--seen-ttl")) body["seen_ttl"] = arguments.text("--seen-ttl");
  return post(context, arguments, "/complete", body,
              {{"COMMIT", "commit"}, {"STATE", "state"}, {"COMPLETED AT", "completed_at"}});
}

int renew(Context& context, const Arguments& arguments) {
  json::object body;
  body["token"] = arguments.text("--token");
  if (arguments.has("--lease")) body["lease"] = arguments.text("--lease");
  return post(context, arguments, "/renew", body, {{"LEASE MS", "lease_ms"}, {"LEASE UNTIL", "lease_until"}});
}

int release(Context& context, const Arguments& arguments) {
  json::object body;
  body["token"] = arguments.text("--token");
  return post(context, arguments, "/release", body, {{"COMMIT", "commit"}, {"STATE", "state"}});
}

int resolve(Context& context, const Arguments& arguments) {
  if (arguments.has("--complete") == arguments.has("--release")) {
    context.screen.message(
        "say either --complete (it was done: with its response) or --release (it was not: it may run again)");
    return kUsage;
  }
  json::object body;
  body["action"] = arguments.has("--complete") ? "complete" : "release";
  if (arguments.has("--complete")) {
    if (int failed = add_response(context, arguments, body); failed != kOk) return failed;
  }
  return post(context, arguments, "/resolve", body,
              {{"COMMIT", "commit"}, {"STATE", "state"}, {"COMPLETED AT", "completed_at"}});
}

Facts request_facts(const json::value& body) {
  Facts facts;
  std::string state = text(body, "state");
  facts.add("STATE", Cell(state, state == "unknown"     ? Tone::kBad
                                 : state == "completed" ? Tone::kGood
                                                        : Tone::kPlain));
  const std::pair<const char*, const char*> parts[] = {{"ATTEMPT", "attempt"},
                                                       {"NODE", "node"},
                                                       {"SCOPE", "scope"},
                                                       {"ON EXPIRY", "on_expiry"},
                                                       {"STARTED AT", "started_at"},
                                                       {"LEASE UNTIL", "lease_until"},
                                                       {"COMPLETED AT", "completed_at"},
                                                       {"RESPONSE UNTIL", "response_until"},
                                                       {"SEEN UNTIL", "seen_until"},
                                                       {"FINGERPRINT MATCHES", "fingerprint_matches"}};
  for (auto [title, name] : parts) facts.add(title, text(body, name));
  std::string response;
  if (const json::value* kept = member(body, "response"))
    response = truth(*kept, "too_large") ? "too large to be kept"
                                         : fmt::format("status {}, {}, {} bytes", text(*kept, "status"),
                                                       text(*kept, "content_type"), text(*kept, "size"));
  facts.add("RESPONSE", response);
  return facts;
}

int show(Context& context, const Arguments& arguments) {
  Target target(path_of(arguments));
  if (arguments.has("--fingerprint")) target.with("fingerprint", arguments.text("--fingerprint"));
  Call call;
  call.target = target.text();
  auto body = ask_json(context, call);
  if (!body) return body.error();
  if (context.json) return kOk;
  context.screen.facts(request_facts(*body));
  if (text(*body, "state") == "unknown")
    context.screen.message(
        fmt::format("its lease lapsed and nobody knows whether it was done. Find out, then: refrain request "
                    "resolve {} {} "
                    "--complete ... | --release",
                    arguments.text("NAMESPACE"), arguments.text("ID")));
  return kOk;
}

int ls(Context& context, const Arguments& arguments) {
  Target target("/v1/requests/" + arguments.text("NAMESPACE"));
  for (const char* name : {"state", "after", "limit"})
    if (arguments.has(std::string("--") + name)) target.with(name, arguments.text(std::string("--") + name));
  Call call;
  call.target = target.text();
  auto body = ask_json(context, call);
  if (!body) return body.error();
  if (context.json) return kOk;
  Table table{{"ID", "STATE", "ATTEMPT", "NODE", "STARTED AT", "LEASE UNTIL", "COMPLETED AT"}, {}};
  for (const json::value& item : list(*body, "items"))
    table.rows.push_back(
        {text(item, "id"),
         Cell(text(item, "state"), text(item, "state") == "unknown" ? Tone::kBad : Tone::kPlain),
         text(item, "attempt"), text(item, "node"), text(item, "started_at"), text(item, "lease_until"),
         text(item, "completed_at")});
  context.screen.table(table);
  say_if_more(context, *body);
  return kOk;
}

std::vector<Option> response_options() {
  return {value("--data", "TEXT", "the response's bytes"),
          value("--file", "FILE", "the response's bytes are in this file, - for standard input"),
          value("--status", "N", "a status number of yours, 0 to 999 (default 200)", check_status),
          value("--content-type", "TYPE", "of the response (default application/octet-stream)"),
          flag("--too-large", "done, but the response is too large to be kept")};
}

std::vector<Option> joined_options(std::initializer_list<std::vector<Option>> groups) {
  std::vector<Option> out;
  for (const auto& group : groups) out.insert(out.end(), group.begin(), group.end());
  return out;
}

}  // namespace

std::vector<Command> request_commands() {
  Option ns = positional("NAMESPACE", "its namespace", check_namespace);
  Option any_ns = positional("NAMESPACE", "its namespace", check_read_namespace);
  Option id = positional("ID", "the request's id", check_request_id);
  Option token = required_value("--token", "TOKEN", "what begin gave");
  Option fingerprint =
      value("--fingerprint", "HEX", "SHA-256 of the payload, 64 hex digits", check_fingerprint);
  Option lease = value("--lease", "DURATION", "how long the go holds without a renew", check_duration);
  return {
      {{"request", "begin"},
       "asks whether to run a request: go, or the first answer again",
       {ns, id, value("--data", "TEXT", "the request's payload: hashed, never kept"),
        value("--file", "FILE", "the payload is in this file, - for standard input"), fingerprint, lease,
        word("--on-expiry", "what a lapsed lease means", {"retry", "hold"}),
        value("--seen-ttl", "DURATION", "how long the id is known", check_duration),
        value("--max-lag", "DURATION", "refuse when a member lags by more", check_duration),
        value("--wait", "DURATION", "wait so long for one that is in progress (up to 60s)", check_duration),
        session_option()},
       {"refrain request begin payments order-1001 --file order.json --lease 30s --on-expiry hold",
        "refrain request begin payments order-1001 --data '42.00 EUR' --wait 10s --format json"},
       true,
       false,
       begin},
      {{"request", "complete"},
       "says that it was done, and keeps its response",
       joined_options({{ns, id, token},
                       response_options(),
                       {value("--operations", "FILE",
                              "writes that belong to it, one commit with the response: a JSON array, - for "
                              "standard input"),
                        value("--response-ttl", "DURATION", "how long the response is kept", check_duration),
                        value("--seen-ttl", "DURATION", "how long the id is known", check_duration)},
                       commit_options()}),
       {"refrain request complete payments order-1001 --token $TOKEN --data '{\"charge\": 7}' --content-type "
        "application/json"},
       true,
       false,
       complete},
      {{"request", "renew"},
       "holds a go for longer",
       joined_options({{ns, id, token, lease}, commit_options()}),
       {"refrain request renew payments order-1001 --token $TOKEN --lease 30s"},
       true,
       false,
       renew},
      {{"request", "release"},
       "gives a go back: it was not done, the next begin may go",
       joined_options({{ns, id, token}, commit_options()}),
       {"refrain request release payments order-1001 --token $TOKEN"},
       true,
       false,
       release},
      {{"request", "show"},
       "what is known of a request",
       {any_ns, id, fingerprint},
       {"refrain request show payments order-1001"},
       true,
       false,
       show},
      {{"request", "ls"},
       "lists requests",
       {any_ns, word("--state", "only these", {"running", "unknown", "completed", "seen"}),
        value("--after", "ID", "go on behind this one"),
        value("--limit", "N", "at most so many", check_limit)},
       {"refrain request ls payments --state unknown"},
       true,
       false,
       ls},
      {{"request", "resolve"},
       "an operator's word on an unknown one",
       joined_options({{ns, id, flag("--complete", "it was done: keep this response"),
                        flag("--release", "it was not done: it may run again")},
                       response_options()}),
       {"refrain request resolve payments order-1001 --complete --data 'charged by hand' --content-type "
        "text/plain",
        "refrain request resolve payments order-1001 --release"},
       true,
       false,
       resolve},
  };
}

}  // namespace refrain::cli
