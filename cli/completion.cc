// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>

#include "cli/command_line.h"

namespace refrain::cli {
namespace {

/// What may stand where. A place is the command so far, each word with a space before it: " kv get".
struct Places {
  std::map<std::string, std::set<std::string>> words;   // place -> what may come
  std::map<std::string, std::set<std::string>> values;  // "place:--flag" -> its values
  std::set<std::string> files;                          // flags that take a file
  std::set<std::string> longer;                         // places that are not the root
};

void add_options(Places& places, const std::string& at, const std::vector<Option>& options) {
  for (const Option& option : options) {
    if (option.kind == Option::Kind::kPositional) continue;
    places.words[at].insert(option.name);
    if (!option.words.empty())
      places.values[at + ":" + option.name].insert(option.words.begin(), option.words.end());
    if (option.value == "FILE") places.files.insert(option.name);
  }
}

Places places_of(const std::vector<Command>& commands) {
  Places places;
  add_options(places, "", common_options(Command{}));
  for (const Command& command : commands) {
    std::string at;
    for (const std::string& part : command.path) {
      places.words[at].insert(part);
      at += " " + part;
      places.longer.insert(at);
    }
    add_options(places, at, command.options);
    if (command.client) add_options(places, at, common_options(command));
    places.words[at].insert("--help");
  }
  places.words[""].insert({"--help", "--version"});
  return places;
}

std::string quoted_alternatives(const std::set<std::string>& items) {
  return fmt::format("\"{}\"", fmt::join(items, "\"|\""));
}

/// The part that bash and zsh share but for how candidates are given: `{}` in `give` are the words.
std::string decision(const Places& places, const std::string& give, const std::string& give_files) {
  std::string out = "  case \"$at:$previous\" in\n";
  for (const auto& [place, words] : places.values)
    out += fmt::format("    \"{}\") {}; return ;;\n", place,
                       fmt::format(fmt::runtime(give), fmt::join(words, " ")));
  out += fmt::format("    *:{}) {}; return ;;\n  esac\n", fmt::join(places.files, "|*:"), give_files);
  out += "  case \"$at\" in\n";
  for (const auto& [place, words] : places.words)
    out += fmt::format("    \"{}\") {} ;;\n", place, fmt::format(fmt::runtime(give), fmt::join(words, " ")));
  return out + "  esac\n";
}

}  // namespace

std::string bash_completion(const std::vector<Command>& commands) {
  Places places = places_of(commands);
  return fmt::format(
      R"(# Completion of refrain for bash:  source <(refrain completion bash)
_refrain() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" at="" word
  COMPREPLY=()
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$at $word" in
      {}) at="$at $word" ;;
    esac
  done
{}}}
complete -o bashdefault -o default -F _refrain refrain
)",
      quoted_alternatives(places.longer),
      decision(places, "COMPREPLY=($(compgen -W \"{}\" -- \"$current\"))",
               "COMPREPLY=($(compgen -f -- \"$current\"))"));
}

std::string zsh_completion(const std::vector<Command>& commands) {
  Places places = places_of(commands);
  return fmt::format(
      R"(#compdef refrain
# Completion of refrain for zsh:  source <(refrain completion zsh)
_refrain() {{
  local previous="${{words[CURRENT-1]}}" at="" word
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "$at $word" in
      {}) at="$at $word" ;;
    esac
  done
{}}}
compdef _refrain refrain
)",
      quoted_alternatives(places.longer), decision(places, "compadd -- {}", "_files"));
}

}  // namespace refrain::cli
