// SPDX-License-Identifier: Apache-2.0
// `refrain demo`: three regions and the story of cli/demo_story.h.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace refrain::cli {

struct DemoOptions {
  /// Three `refrain serve` processes with a real Kafka, whose listeners for eu, us and ap are on these ports
  /// and advertised at relay_port and the two after it. Empty: nodes and log in this process.
  std::vector<std::uint16_t> kafka_ports;
  std::uint16_t relay_port = 0;
  std::string config_dir = "deploy";  // with eu.yaml, us.yaml, ap.yaml
  std::string program;                // what serves; empty = this program
  std::uint16_t http_port = 8081;     // of eu; us and ap have the next two
  bool stay = false;                  // stay up afterwards, until interrupted
};

/// 0 when every step showed what it says, else 1.
int run_demo(const DemoOptions& options);

}  // namespace refrain::cli
