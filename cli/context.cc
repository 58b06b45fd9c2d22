// SPDX-License-Identifier: Apache-2.0
#include "cli/context.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <fstream>
#include <istream>
#include <iterator>

#include "cli/exit_code.h"
#include "cli/files.h"
#include "cli/json_access.h"

namespace refrain::cli {
namespace {

std::string problem_text(const Answer& answer) {
  boost::system::error_code error;
  json::value body = json::parse(answer.body, error);
  std::string code = error ? "" : text(body, "code");
  std::string detail = error ? "" : text(body, "detail");
  if (detail.empty()) detail = error ? "" : text(body, "title");
  if (code.empty() && detail.empty()) return fmt::format("the node answered {}", answer.status);
  if (code.empty()) return detail;
  return fmt::format("{} ({})", detail.empty() ? fmt::format("the node answered {}", answer.status) : detail,
                     code);
}

}  // namespace

int report_failure(Context& context, const Answer& answer) {
  context.screen.message(problem_text(answer));
  if (context.json && !answer.body.empty()) print_json(context, answer.body);
  return exit_of_status(answer.status);
}

tl::expected<Answer, int> ask(Context& context, const Call& call) {
  auto answer = context.transport().call(call);
  if (!answer) {
    context.screen.message(answer.error().why);
    return tl::unexpected<int>(kNoAnswer);
  }
  if (answer->status < 200 || answer->status >= 300) return tl::unexpected(report_failure(context, *answer));
  return std::move(*answer);
}

std::optional<json::value> parse_json(Context& context, const std::string& body) {
  boost::system::error_code error;
  json::value parsed = json::parse(body, error);
  if (!error) return parsed;
  context.screen.message("the answer is not JSON; is this the address of a Refrain node?");
  return std::nullopt;
}

void print_json(Context& context, const std::string& body) {
  context.screen.bytes(body);
  if (!body.ends_with('\n')) context.screen.bytes("\n");
}

tl::expected<json::value, int> ask_json(Context& context, const Call& call) {
  auto answer = ask(context, call);
  if (!answer) return tl::unexpected(answer.error());
  auto parsed = parse_json(context, answer->body);
  if (!parsed) return tl::unexpected<int>(kFailed);
  if (context.json) print_json(context, answer->body);
  return std::move(*parsed);
}

int repeat(Context& context, const std::function<int()>& once) {
  if (!context.watch) return once();
  context.screen.start_redrawing();
  for (;;) {
    int code = once();
    context.screen.flush();
    if (context.screen.lost()) return code;  // nobody could see what comes
    if (!context.pause(*context.watch)) return code;
  }
}

std::optional<std::string> read_input(Context& context, const std::string& file) {
  auto bytes = file == "-" ? read_bounded(context.in) : read_file(file);
  if (bytes) return std::move(*bytes);
  context.screen.message(fmt::format("{} cannot be read: {}", file, bytes.error()));
  return std::nullopt;
}

Option session_option() {
  return value("--session-file", "FILE",
               "send what this file says was seen, and keep there what is seen now: reads follow writes, in "
               "any region");
}

void send_session(const Arguments& arguments, Call& call) {
  if (!arguments.has("--session-file")) return;
  std::ifstream in(arguments.text("--session-file"));
  std::string token;
  if (in >> token) call.headers.push_back("Refrain-Session: " + token);
}

int keep_session(Context& context, const Arguments& arguments, const Answer& answer) {
  std::string token = answer.header("refrain-session");
  if (!arguments.has("--session-file") || token.empty()) return kOk;
  std::string file = arguments.text("--session-file");
  std::ofstream out(file, std::ios::trunc);
  if (out << token << '\n' << std::flush) return kOk;
  context.screen.message(fmt::format("{} cannot be written: what was seen is not kept", file));
  return kFailed;
}

}  // namespace refrain::cli
