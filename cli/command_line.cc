// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/text.h"
#include "cli/exit_code.h"
#include "cli/version.h"

namespace refrain::cli {
namespace {

constexpr const char* kDefaultServer = "http://127.0.0.1:8080";
constexpr const char* kConnection = "Connection and output";

/// CLI11's tree for our table, and where it puts what it reads.
class Parser {
 public:
  Parser(const std::vector<Command>& commands, const std::map<std::string, std::string>& environment) {
    root_.description(
        "Refrain: a store for services that run in several regions at once, and the answer to \"has this "
        "request been done?\".\n"
        "Do it once. Say it everywhere.");
    root_.footer(
        "Exit codes: 0 ok, 1 failed, 2 usage, 3 no connection or timed out, 4 not found or precondition,\n"
        "10 reachable but not in sync; of `request begin` 6 already done, 7 in progress.\n"
        "REFRAIN_SERVER names the node when --server does not. NO_COLOR turns colours off.");
    root_.set_version_flag("--version", version_line());
    root_.require_subcommand(1);
    if (auto server = environment.find("REFRAIN_SERVER");
        server != environment.end() && !server->second.empty())
      environment_server_ = server->second;
    add_options(root_, common_options(Command{}));
    for (const Command& command : commands) add_command(command);
  }

  CommandLine parse(const std::vector<std::string>& words) {
    CommandLine line;
    try {
      root_.parse(std::vector<std::string>(words.rbegin(), words.rend()));
      finish(line);
    } catch (const CLI::ParseError& error) {
      refuse(error, line);
    }
    return line;
  }

 private:
  struct Leaf {
    const Command* command;
    CLI::App* app;
  };

  void add_command(const Command& command) {
    CLI::App* app = &root_;
    for (std::size_t i = 0; i < command.path.size(); ++i) app = child(*app, command.path[i]);
    app->description(command.help);
    app->require_subcommand(0);
    if (!command.examples.empty())
      app->footer(fmt::format("Examples:\n  {}", fmt::join(command.examples, "\n  ")));
    add_options(*app, command.options);
    if (command.client) add_options(*app, common_options(command));
    leaves_.push_back({&command, app});
  }

  CLI::App* child(CLI::App& parent, const std::string& name) {
    for (CLI::App* known : parent.get_subcommands([&](CLI::App* app) { return app->get_name() == name; }))
      return known;
    auto about = group_help().find(name);
    CLI::App* made = parent.add_subcommand(name, about == group_help().end() ? "" : about->second);
    made->require_subcommand(1);
    return made;
  }

  void add_options(CLI::App& app, const std::vector<Option>& options) {
    for (const Option& option : options) {
      auto take = [this, name = option.name](const std::string& text) { given_.set(name, text); };
      CLI::Option* made = option.kind == Option::Kind::kFlag
                              ? app.add_flag_callback(
                                    option.name, [take] { take(""); }, option.help)
                              : app.add_option_function<std::string>(option.name, take, option.help);
      if (option.required) made->required();
      if (!option.value.empty()) made->type_name(option.value);
      if (option.kind == Option::Kind::kPositional) made->type_name("");
      if (!option.group.empty()) made->group(option.group);
      if (option.check)
        made->check(CLI::Validator([option](std::string& text) { return complaint(option, text); }, ""));
      if (!option.words.empty())
        made->check(CLI::Validator([option](std::string& text) { return word_complaint(option, text); }, ""));
      if (!option.words.empty()) made->type_name(fmt::format("{}", fmt::join(option.words, "|")));
    }
  }

  static std::string complaint(const Option& option, const std::string& text) {
    auto wrong = option.check(text);
    return wrong ? fmt::format("'{}' {}", text, *wrong) : "";
  }

  static std::string word_complaint(const Option& option, const std::string& text) {
    bool known = std::find(option.words.begin(), option.words.end(), text) != option.words.end();
    return known ? "" : fmt::format("'{}' is none of {}", text, fmt::join(option.words, ", "));
  }

  /// The deepest subcommand that was named.
  CLI::App* named() {
    CLI::App* app = &root_;
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    return app;
  }

  static std::string full_name(CLI::App* app) {
    std::string name;
    for (; app->get_parent(); app = app->get_parent()) name = " " + app->get_name() + name;
    return "refrain" + name;
  }

  void finish(CommandLine& line) {
    CLI::App* app = named();
    for (const Leaf& leaf : leaves_)
      if (leaf.app == app) line.command = leaf.command;
    line.server = given_.text("--server", environment_server_);
    // Who talks to no node does not care which.
    const bool talks = line.command && line.command->client;
    if (auto wrong = talks ? check_server(line.server) : std::nullopt) {
      line.command = nullptr;
      line.exit = kUsage;
      line.err = fmt::format("refrain: REFRAIN_SERVER: '{}' {}\n", line.server, *wrong);
      return;
    }
    while (line.server.ends_with('/')) line.server.pop_back();
    line.json = given_.text("--format") == "json";
    if (given_.has("--watch") || given_.has("--interval"))
      line.watch = std::max(Milliseconds{100},
                            parse_duration(given_.text("--interval", "1s")).value_or(Milliseconds{1000}));
    line.arguments = std::move(given_);
  }

  void refuse(const CLI::ParseError& error, CommandLine& line) {
    CLI::App* app = named();
    if (error.get_name() == "CallForHelp") {
      line.out = app->help(app->get_parent() ? full_name(app->get_parent()) : "");
      return;
    }
    if (error.get_name() == "CallForVersion") {
      line.out = version_line() + "\n";
      return;
    }
    line.exit = kUsage;
    line.err = fmt::format("{}: {}\nSee '{} --help'.\n", full_name(app), error.what(), full_name(app));
  }

  CLI::App root_{"", "refrain"};
  std::vector<Leaf> leaves_;
  Arguments given_;
  std::string environment_server_ = kDefaultServer;
};

}  // namespace

std::vector<Option> common_options(const Command& command) {
  Option server = value("--server", "URL", "the node to talk to (REFRAIN_SERVER, else http://127.0.0.1:8080)",
                        check_server);
  Option format = word("--format", "json: the node's answer as it came", {"table", "json"});
  std::vector<Option> options = {server, format};
  if (command.watch) {
    options.push_back(flag("--watch", "again and again, also while the node cannot be reached"));
    options.push_back(
        value("--interval", "DURATION", "how often to look with --watch (default 1s)", check_duration));
  }
  for (Option& option : options) option.group = kConnection;
  return options;
}

const std::map<std::string, std::string>& group_help() {
  static const std::map<std::string, std::string> kHelp = {
      {"kv", "keys and values"},
      {"request", "has this been done? begin, complete, and what is known"},
      {"events", "what this node has told the others"},
      {"conflicts", "writes that did not know of each other"},
      {"member", "who belongs to the cluster"},
      {"duplicates", "requests that ran more than once"},
      {"config", "settings: check a file, show what is in effect"},
  };
  return kHelp;
}

CommandLine parse_command_line(const std::vector<Command>& commands, const std::vector<std::string>& words,
                               const std::map<std::string, std::string>& environment) {
  return Parser(commands, environment).parse(words);
}

}  // namespace refrain::cli
