// SPDX-License-Identifier: Apache-2.0
// A TCP relay on loopback that can be shut: how the demo cuts a region off a real Kafka.
#pragma once
#include <cstdint>
#include <memory>

#include "base/result.h"

namespace refrain::cli {

/// Own thread. Destroying it closes everything.
class Relay {
 public:
  /// Listens on `port` and leads to `target_port`; open from the start.
  static Result<std::unique_ptr<Relay>> start(std::uint16_t port, std::uint16_t target_port);
  virtual ~Relay() = default;
  /// False: every connection is closed and new ones are closed at once.
  virtual void set_open(bool open) = 0;
};

}  // namespace refrain::cli
