// SPDX-License-Identifier: Apache-2.0
// The story that `refrain demo` tells: three regions, a partition, a conflict, a request that is done once, a
// crash. It knows the nodes only by their HTTP API and four calls on the world around them, so the same story
// runs over nodes in this process and over three processes with a real Kafka.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace refrain::cli {

/// The world around the nodes. Each call returns when it is done.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual Result<void> cut(const std::string& node) = 0;  // off the log: no records out, none in
  virtual Result<void> heal(const std::string& node) = 0;
  virtual Result<void> kill(const std::string& node) = 0;  // as kill -9: nothing is closed
  virtual Result<void> start(const std::string& node) = 0;
};

struct DemoNode {
  std::string name;
  std::string url;  // http://127.0.0.1:8081
};

/// Tells the story on stdout. False as soon as a step does not show what it says.
bool tell_story(Stage& stage, const std::vector<DemoNode>& nodes);

}  // namespace refrain::cli
