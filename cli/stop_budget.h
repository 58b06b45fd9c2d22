// SPDX-License-Identifier: Apache-2.0
// How the time that a stop may take is shared out. Whoever is done sooner leaves its rest to who comes after.
#pragma once
#include <algorithm>

#include "base/types.h"

namespace refrain::cli {

/// Both from the beginning of the stop. What is left behind `flush` is for closing RocksDB and librdkafka,
/// whose threads take about a second while brokers are down.
struct StopBudget {
  Milliseconds server;  // the answers under way are out
  Milliseconds flush;   // Kafka has what was acknowledged, or does not get it now
};

constexpr StopBudget stop_budget(Milliseconds shutdown_timeout) {
  return {std::max(shutdown_timeout - Milliseconds{3'000}, shutdown_timeout / 2),
          std::max(shutdown_timeout - Milliseconds{2'000}, shutdown_timeout * 3 / 4)};
}

}  // namespace refrain::cli
