// SPDX-License-Identifier: Apache-2.0
// A world as drawn from its seed, before anything runs: settings, rates of the log's faults, and a list of
// actions in order of time. Running a plan draws no actions: the list can be cut down and run again, which is
// what shrinking does (shrink.h).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "replication/memory_broker.h"

namespace refrain::simulation {

inline constexpr std::string_view kNames[] = {"eu", "us", "ap", "sa", "af"};
inline constexpr int kMostNodes = 5;

enum class Act : std::uint8_t {
  kCrash,       // the process ends; up again after `length`
  kPowerCut,    // the machine ends, with it a part of what was not synced (`amount`); up again after `length`
  kPause,       // the process stands still
  kKafkaAway,   // of all nodes
  kCutOff,      // of one node; `amount` 1: from Kafka only, its peers reach it
  kDeaf,        // of one node: what it sends arrives, nothing comes back
  kSkew,        // its wall clock steps to `amount` ms from the right time
  kDrift,       // its wall clock gains or loses `amount` thousandths, for `length`
  kFreeze,      // its wall clock stands still, for `length`
  kTopicLost,   // its journal's topic is deleted
  kTopicCut,    // the newest `amount` records of its journal's topic are lost: an unclean leader election
  kTopicFront,  // the oldest records of its journal's topic are gone, save the newest `amount`: retention
  kKafkaReplaced,  // another Kafka cluster stands there, empty
  kKafkaMirrored,  // another Kafka cluster stands there, with the same topics
  kForeign,        // a record of another cluster appears in its journal's topic
  kGarbage,        // bytes that are no record appear in its journal's topic
  kFlip,           // a bit of one of the newest `amount` records of its journal's topic flips
  kSyncFails,      // its next write fails to sync
  kWriteFails,     // its next write fails
  kDiskFull,       //
  kSlowDisk,       // each of its steps takes up to `amount` ms longer, for `length`
  kRetryEvents,    // an operator's word

  // ---- members come and go
  kArrive,       // a node that was not there starts for the first time
  kLoseDisk,     // the process ends, its disk is lost; an empty one starts after `length`
  kEvict,        // it is told to evict the `amount`-th node after it
  kLeave,        // it is told to leave
  kRejoin,       // it is told to rejoin
  kMembersLost,  // the members log is deleted
  kMembersCut,   // its newest `amount` entries are lost
  kBackUp,       // a backup is made of it
  kAllLost,  // all nodes are lost with their disks: one begins a new cluster with the backup, all join it;
             // under another name, or (`amount` 1) the same on an empty Kafka

  // ---- programs change
  kUpgrade,  // the process ends, after `length` the next program starts
  kGoBack,   // the process ends, after `length` this program starts again
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
/// Whom a kEvict names; its own node when there is nobody else.
int evicted_by(const Action& action, int nodes);

struct Plan {
  std::uint64_t seed = 0;
  int nodes = 3;
  Milliseconds disturbed{0};  // how long faults and clients go on; then all is mended
  std::vector<Action> actions;
  replication::MemoryFaults log_faults;
  std::size_t window = 10'000;
  int clients = 3;
  int keys = 4;
  Milliseconds client_pause{50};  // on average, between a client's calls
  bool requests = true;
  bool forgets = false;                // goes on after all agree until what may be forgotten is gone
  bool changes = false;                // members come and go
  int late = 0;                        // so many of the nodes, the last ones, are not there at first
  bool formats = false;                // programs change
  std::vector<bool> begins_next = {};  // by node: it begins with the next program
  bool ends_next = false;              // in the end all run the next program
};

/// A rate of the log's faults, by name.
struct LogFault {
  std::string_view name;
  double replication::MemoryFaults::*rate;
  double in_worlds;
  double largest;
};
const std::vector<LogFault>& log_fault_kinds();

/// The plan of a seed. Each fault is in some worlds and not in others (swarm testing: Groce et al., 2012);
/// some worlds are calm, some have one fault only.
/// `always_changes`: members come and go, whatever the seed says.
Plan draw_plan(std::uint64_t seed, bool always_changes = false);

}  // namespace refrain::simulation
