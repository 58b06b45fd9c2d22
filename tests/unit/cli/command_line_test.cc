// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/commands.h"
#include "cli/completion.h"

namespace refrain::cli {
namespace {

using testing::HasSubstr;

CommandLine parse(std::vector<std::string> words, std::map<std::string, std::string> environment = {}) {
  return parse_command_line(all_commands(), words, environment);
}

TEST(CommandLineParsing, FindsTheCommandAndItsArguments) {
  CommandLine line = parse({"kv", "put", "orders", "1001", "paid", "--ack", "all", "--ttl=1h"});
  ASSERT_TRUE(line.command) << line.err;
  EXPECT_EQ(line.command->path, (std::vector<std::string>{"kv", "put"}));
  EXPECT_EQ(line.arguments.text("KEY"), "1001");
  EXPECT_EQ(line.arguments.text("--ack"), "all");
  EXPECT_EQ(line.arguments.text("--ttl"), "1h");
  EXPECT_FALSE(line.arguments.has("--timeout"));
  EXPECT_EQ(line.server, "http://127.0.0.1:8080");
}

TEST(CommandLineParsing, TakesTheServerBeforeAndBehindTheCommand) {
  EXPECT_EQ(parse({"--server", "http://eu:1", "status"}).server, "http://eu:1");
  EXPECT_EQ(parse({"status", "--server", "http://eu:1/"}).server, "http://eu:1");
}

TEST(CommandLineParsing, TheFlagBeatsTheVariableBeatsTheDefault) {
  std::map<std::string, std::string> environment = {{"REFRAIN_SERVER", "http://us:2"}};
  EXPECT_EQ(parse({"status"}, environment).server, "http://us:2");
  EXPECT_EQ(parse({"status", "--server", "http://eu:1"}, environment).server, "http://eu:1");
  CommandLine wrong = parse({"status"}, {{"REFRAIN_SERVER", "nonsense"}});
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_THAT(wrong.err, HasSubstr("REFRAIN_SERVER: 'nonsense' is not a URL"));
}

TEST(CommandLineParsing, AMalformedServerMattersOnlyToWhoTalksToOne) {
  const std::map<std::string, std::string> nonsense = {{"REFRAIN_SERVER", "nonsense"}};
  for (std::vector<std::string> words : {std::vector<std::string>{"version"},
                                         {"serve"},
                                         {"config", "check"},
                                         {"config", "show"},
                                         {"completion", "bash"}})
    EXPECT_TRUE(parse(words, nonsense).command) << testing::PrintToString(words);
  EXPECT_TRUE(parse({"status", "--server", "http://eu:1"}, nonsense).command);
  EXPECT_FALSE(parse({"kv", "get", "a", "b"}, nonsense).command);
}

TEST(CommandLineParsing, ACommandMayHaveCommandsBelow) {
  EXPECT_EQ(parse({"sync"}).command->path.size(), 1u);
  CommandLine resume = parse({"sync", "resume", "us", "--skip", "7"});
  ASSERT_TRUE(resume.command) << resume.err;
  EXPECT_EQ(resume.command->path.size(), 2u);
}

TEST(CommandLineParsing, EveryMistakeExitsWithTwoAndNamesTheHelp) {
  const std::vector<std::vector<std::string>> mistakes = {
      {},
      {"nonsense"},
      {"kv"},
      {"kv", "get", "orders"},
      {"kv", "get", "orders", "a", "b"},
      {"kv", "get", "orders", "a", "--nonsense"},
      {"kv", "get", "Orders", "a"},
      {"kv", "get", "_http-orders", "a"},
      {"kv", "get", "orders", "a/../b"},
      {"kv", "put", "orders", "a", "b", "--ttl", "1"},
      {"kv", "put", "orders", "a", "b", "--ack", "Mars"},
      {"kv", "put", "orders", "a", "b", "--if-match", "1"},
      {"kv", "scan", "orders", "--limit", "1001"},
      {"request", "begin", "payments", "a b"},
      {"request", "begin", "payments", "a", "--on-expiry", "stop"},
      {"request", "begin", "payments", "a", "--fingerprint", "abc"},
      {"request", "complete", "payments", "a"},
      {"request", "complete", "payments", "a", "--token", "t", "--status", "1000"},
      {"events", "show", "eu"},
      {"sync", "resume"},
      {"sync", "resume", "EU"},
      {"status", "--format", "yaml"},
      {"status", "--max-lag", "soon"},
      {"status", "--server", "eu"},
      {"completion", "fish"},
      {"version", "now"},
  };
  for (const auto& words : mistakes) {
    CommandLine line = parse(words);
    EXPECT_EQ(line.command, nullptr) << testing::PrintToString(words);
    EXPECT_EQ(line.exit, 2) << testing::PrintToString(words);
    EXPECT_THAT(line.err, HasSubstr("--help'")) << testing::PrintToString(words);
    EXPECT_EQ(line.out, "");
  }
}

TEST(CommandLineParsing, EveryCommandHasHelpWithAnExample) {
  for (const Command& command : all_commands()) {
    auto words = command.path;
    words.push_back("--help");
    CommandLine line = parse(words);
    EXPECT_EQ(line.exit, 0) << testing::PrintToString(words);
    EXPECT_THAT(line.out, HasSubstr("Examples:\n"));
    EXPECT_THAT(line.out, HasSubstr("Usage: refrain " + command.path.front()));
    EXPECT_EQ(line.err, "");
  }
}

TEST(CommandLineParsing, EveryExampleIsACommandLineThatWorks) {
  for (const Command& command : all_commands()) {
    for (std::string example : command.examples) {
      auto start = example.find("refrain " + command.path.front());
      ASSERT_NE(start, std::string::npos) << example;
      example = example.substr(start + 8, example.find_first_of(")>", start) - start - 8);
      std::vector<std::string> words;
      bool quoted = false, open = false;
      for (char c : example) {
        if (c == '\'')
          quoted = !quoted;
        else if (c == ' ' && !quoted)
          open = false;
        else {
          if (!open) words.emplace_back();
          open = true;
          words.back() += c;
        }
      }
      CommandLine line = parse(words);
      EXPECT_EQ(line.command, &command) << example << "\n" << line.err;
    }
  }
}

TEST(CommandLineParsing, WatchHasAnIntervalAndOnlyWhereItMakesSense) {
  EXPECT_FALSE(parse({"status"}).watch);
  EXPECT_EQ(parse({"status", "--watch"}).watch, Milliseconds{1000});
  EXPECT_EQ(parse({"status", "--watch", "--interval", "3s"}).watch, Milliseconds{3000});
  EXPECT_EQ(parse({"status", "--watch", "--interval", "0ms"}).watch, Milliseconds{100});
  EXPECT_EQ(parse({"kv", "get", "a", "b", "--watch"}).exit, 2);
}

TEST(CommandLineParsing, VersionIsAFlagAndACommand) {
  EXPECT_THAT(parse({"--version"}).out, testing::MatchesRegex("refrain [0-9.]+\n"));
}

TEST(Completion, OffersCommandsFlagsAndWords) {
  for (auto script : {bash_completion(all_commands()), zsh_completion(all_commands())}) {
    EXPECT_THAT(script, HasSubstr("\" kv get\""));
    EXPECT_THAT(script, HasSubstr("\" request begin:--on-expiry\""));
    EXPECT_THAT(script, HasSubstr("hold retry"));
    EXPECT_THAT(script, HasSubstr("*:--session-file"));
  }
}

}  // namespace
}  // namespace refrain::cli
