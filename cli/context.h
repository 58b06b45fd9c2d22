// SPDX-License-Identifier: Apache-2.0
// What a command has at hand, and the few steps that most of them share.
#pragma once
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cli/screen.h"
#include "cli/spec.h"
#include "cli/transport.h"

namespace boost::json {
class value;
}

namespace refrain::cli {

struct Context {
  Screen& screen;
  std::istream& in;
  std::function<Transport&()> transport;  // made when first asked for
  std::map<std::string, std::string> environment;
  bool json = false;                                                    // --format json
  std::optional<Milliseconds> watch = std::nullopt;                     // --watch, and how often
  std::function<bool(Milliseconds)> pause = {};                         // false: stop watching
  std::function<std::unique_ptr<Transport>(std::string)> connect = {};  // to another node than the asked one
};

/// Makes the call. An answer that is no success is printed (the problem's detail as a message; with --format
/// json its body too) and gives only its exit code.
tl::expected<Answer, int> ask(Context& context, const Call& call);

/// As ask(), and the body must be JSON. With --format json it is printed as it came.
tl::expected<boost::json::value, int> ask_json(Context& context, const Call& call);

/// Prints one answer that was got elsewhere: what ask() does with a failure. Gives its exit code.
int report_failure(Context& context, const Answer& answer);

/// Runs `once`, or with --watch again and again, also when the node cannot be reached.
int repeat(Context& context, const std::function<int()>& once);

/// The answer's body as JSON; a message and none when it is none.
std::optional<boost::json::value> parse_json(Context& context, const std::string& body);
void print_json(Context& context, const std::string& body);

/// "-" = standard input. A message and none when it cannot be read.
std::optional<std::string> read_input(Context& context, const std::string& file);

// --session-file: what the client has seen, kept between calls.
Option session_option();
void send_session(const Arguments& arguments, Call& call);
/// A message and kFailed when the file cannot be written.
int keep_session(Context& context, const Arguments& arguments, const Answer& answer);

}  // namespace refrain::cli
