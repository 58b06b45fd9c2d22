// SPDX-License-Identifier: Apache-2.0
// What clients were told. An answer that never came is not in it: it may have happened.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"

namespace refrain::simulation {

struct ToldCommit {
  CommitId commit;
  Version version;
  std::set<std::string> rows;  // ns 0x00 key
};

struct ToldComplete {
  std::string body;  // every run has its own
  CommitId commit;
};

struct History {
  std::vector<ToldCommit> commits;
  std::map<std::pair<NodeName, std::string>, CommitId> keyed;  // by node and Idempotency-Key
  std::map<std::string, std::vector<ToldComplete>>
      completes;                                          // by request id, not those that only repeated one
  std::map<std::string, std::set<std::string>> attempts;  // by request id: every body that was ever sent
  std::set<std::string> requests;                         // every id that was begun
};

}  // namespace refrain::simulation
