// SPDX-License-Identifier: Apache-2.0
// The program in a world of strings: a node that answers from a table, a terminal or a pipe that is a string.
#pragma once
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "cli/program.h"

namespace refrain::cli {

struct Ran {
  int exit = 0;
  std::string out;
  std::string err;
};

class FakeWorld {
 public:
  /// What the node answers to "GET /v1/status"; a call that stands nowhere is refused like a closed port.
  /// Several answers to one call come one after another; the last one stays.
  FakeWorld& answers(const std::string& call, Answer answer) {
    answers_[call].push_back(std::move(answer));
    return *this;
  }
  FakeWorld& answers(const std::string& call, int status, const std::string& body,
                     std::map<std::string, std::string> headers = {}) {
    return answers(call, Answer{status, std::move(headers), body});
  }
  /// The port is closed for one call.
  FakeWorld& refuses(const std::string& call) { return answers(call, Answer{}); }

  Ran run(const std::vector<std::string>& words, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out, err;
    Full full;
    std::ostream nowhere(&full);
    calls.clear();
    int looks = 0;
    World world{in, disk_full ? nowhere : out, err, {terminal, color}, environment, {}, {}};
    world.transport = [this](std::string server) -> std::unique_ptr<Transport> {
      servers.push_back(server);
      return std::make_unique<FakeNode>(*this);
    };
    world.pause = [this, &looks](Milliseconds) { return ++looks < looks_of_watch; };
    int exit = run_program(words, std::move(world));
    return {exit, out.str(), err.str()};
  }

  bool terminal = false;
  bool color = false;
  bool disk_full = false;  // standard output is a file that cannot grow
  int looks_of_watch = 1;
  std::map<std::string, std::string> environment;
  std::vector<Call> calls;  // of the last run
  std::vector<std::string> servers;

 private:
  struct Full final : std::streambuf {};  // takes nothing
  struct FakeNode final : Transport {
    explicit FakeNode(FakeWorld& owner) : world(owner) {}
    tl::expected<Answer, NoAnswer> call(const Call& call) override {
      world.calls.push_back(call);
      auto known = world.answers_.find(call.method + " " + call.target);
      if (known == world.answers_.end())
        return tl::unexpected(NoAnswer{"cannot reach it: Connection refused"});
      Answer answer = known->second.front();
      if (known->second.size() > 1) known->second.erase(known->second.begin());
      if (answer.status == 0) return tl::unexpected(NoAnswer{"cannot reach it: Connection refused"});
      return answer;
    }
    FakeWorld& world;
  };

  std::map<std::string, std::vector<Answer>> answers_;
};

}  // namespace refrain::cli
