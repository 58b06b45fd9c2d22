// SPDX-License-Identifier: Apache-2.0
// The program's commands as data: what each is called, takes, prints an example of, and runs. The parser, the
// help, the completion and the tests of the documentation all go by it.
#pragma once
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace refrain::cli {

struct Context;

/// What is wrong with a text, as the end of a sentence that begins with it; none = it is good.
using Check = std::optional<std::string> (*)(std::string_view);

struct Option {
  enum class Kind : unsigned char { kPositional, kValue, kFlag };
  std::string name;   // "KEY" of a positional, "--lease" of the others
  std::string value;  // what a value is called in the help: "DURATION"
  std::string help;
  Kind kind = Kind::kValue;
  bool required = false;
  Check check = nullptr;
  std::vector<std::string> words = {};  // if not empty, the only values
  std::string group = {};               // heading in the help
};

/// What was given. Checked: a required option is there, a value has passed its check.
class Arguments {
 public:
  void set(const std::string& name, std::string value) { values_[name] = std::move(value); }

  bool has(const std::string& name) const { return values_.contains(name); }
  std::string text(const std::string& name, std::string otherwise = "") const {
    auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }
  const std::map<std::string, std::string>& all() const { return values_; }

 private:
  std::map<std::string, std::string> values_;
};

struct Command {
  std::vector<std::string> path;  // {"kv", "get"}
  std::string help;               // one line
  std::vector<Option> options;
  std::vector<std::string> examples;
  bool client = true;  // takes --server and --format
  bool watch = false;  // takes --watch and --interval
  std::function<int(Context&, const Arguments&)> run;
};

Option positional(std::string name, std::string help, Check check = nullptr);
Option optional_positional(std::string name, std::string help, Check check = nullptr);
Option value(std::string name, std::string of, std::string help, Check check = nullptr);
Option required_value(std::string name, std::string of, std::string help, Check check = nullptr);
Option word(std::string name, std::string help, std::vector<std::string> words);
Option flag(std::string name, std::string help);

// Checks.
std::optional<std::string> check_namespace(std::string_view text);
std::optional<std::string> check_read_namespace(std::string_view text);  // ours (_http-...) as well
std::optional<std::string> check_key(std::string_view text);
std::optional<std::string> check_request_id(std::string_view text);
std::optional<std::string> check_node(std::string_view text);
std::optional<std::string> check_commit_id(std::string_view text);
std::optional<std::string> check_version(std::string_view text);
std::optional<std::string> check_duration(std::string_view text);
std::optional<std::string> check_ack(std::string_view text);
std::optional<std::string> check_fingerprint(std::string_view text);
std::optional<std::string> check_limit(std::string_view text);
std::optional<std::string> check_number(std::string_view text);
std::optional<std::string> check_status(std::string_view text);  // 0 to 999
std::optional<std::string> check_server(std::string_view text);

}  // namespace refrain::cli
