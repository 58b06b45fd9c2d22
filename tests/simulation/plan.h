// SPDX-License-Identifier: Apache-2.0
// A world as drawn from its seed, before anything runs: settings, rates of the log's faults, and a list of
// actions in order of time. Running a plan draws no actions: the list can be cut down and run again, which is
// what shrinking does.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/types.h"
#include "replication/memory_broker.h"

namespace refrain::simulation {

inline constexpr int kNodes = 3;

enum class Act : std::uint8_t {
  kCrash,      // the process ends; up again after `length`
  kPowerCut,   // the machine ends, with it a part of what was not synced (`amount`); up again after `length`
  kKafkaAway,  // of all nodes
  kCutOff,     // of one node
  kPause,      // the process stands still
  kSkew,       // its wall clock is off by `amount` ms
  kTopicLost,  // its journal's topic is deleted
  kTopicCut,   // the newest `amount` records of its journal's topic are lost
  kSyncFails,  // its next write fails to sync
  kDiskFull,   //
  kRetryEvents,  // an operator's word
};
std::string_view act_name(Act act);

struct Action {
  Milliseconds at{0};
  Act act = Act::kCrash;
  int node = 0;
  Milliseconds length{0};
  std::int64_t amount = 0;
};
std::string describe(const Action& action);

struct Plan {
  std::uint64_t seed = 0;
  Milliseconds disturbed{0};  // how long faults and clients go on; then all is mended
  std::vector<Action> actions;
  replication::MemoryFaults log_faults;
  std::size_t window = 10'000;
  int clients = 3;
  int keys = 4;
  Milliseconds client_pause{50};  // on average, between a client's calls
  bool requests = true;
};

/// The plan of a seed. Each fault is in some worlds and not in others (swarm testing: Groce et al., 2012).
Plan draw_plan(std::uint64_t seed);

}  // namespace refrain::simulation
