// SPDX-License-Identifier: Apache-2.0
// Two nodes and a log in one thread and a time of its own: `eu` on real RocksDB, whose power is cut a few
// times in a row, and `us` on a simulated disk, whose journal eu applies. All from a seed.
//
// Course: lives of eu, each a start, clients' calls, and an end: the power is cut at an operation of the disk
// that was drawn beforehand (so in a start, in a flush, in a compaction, in a clean stop), or at rest, or it
// stops cleanly. After each the store is opened again on what survived and compared with the Truth. After the
// last one both nodes have to agree.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "disk_machine.h"

namespace refrain::crash {

struct WorldOptions {
  std::uint64_t seed = 1;
  Sabotage sabotage;
  bool trace = false;
  std::string root;  // an empty directory
};

struct WorldVerdict {
  std::vector<std::string> wrongs;
  std::uint64_t cuts = 0;
  std::map<std::string, std::uint64_t> branches;
  std::string
      story;  // where each cut fell: mostly the same for the same seed, where RocksDB's threads are held
};

WorldVerdict run_world(const WorldOptions& options);

}  // namespace refrain::crash
