// SPDX-License-Identifier: Apache-2.0
// The rows behind SimEngine: a sorted map a family whose entries keep older values for as long as somebody
// reads at an older version. So a view costs nothing to make, and a write nothing more while there is none.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/engine.h"
#include "store/sim_engine.h"

namespace refrain::store {

/// One value of a key, and those before it that somebody may still read.
struct SimCell {
  SimCell(std::uint64_t when, std::optional<std::string> what, std::unique_ptr<SimCell> before)
      : version(when), value(std::move(what)), older(std::move(before)) {}
  std::uint64_t version;
  std::optional<std::string> value;  // none = removed
  std::unique_ptr<SimCell> older;

  const std::optional<std::string>* at(std::uint64_t when) const {
    for (const SimCell* cell = this; cell != nullptr; cell = cell->older.get()) {
      if (cell->version <= when) return &cell->value;
    }
    return nullptr;
  }
};

/// A cell never moves while somebody may read it: cursors point into it.
using SimRows = std::map<std::string, std::unique_ptr<SimCell>, std::less<>>;
using SimCopy = std::array<std::map<std::string, std::string>, kFamilies>;

/// All calls under `mutex`.
struct SimDiskState {
  mutable std::mutex mutex;
  std::array<SimRows, kFamilies> rows;
  std::uint64_t version = 0;                          // of the newest batch
  std::multiset<std::uint64_t> readers;               // versions that live views read at
  std::vector<std::pair<Family, std::string>> stale;  // keys that may keep more than is read

  std::vector<std::vector<Batch::Change>> undo;  // per unsynced batch: what was there before
  std::optional<Batch> torn;                     // written, its sync failed: not visible in this life
  std::map<std::string, SimCopy> checkpoints;

  std::uint64_t life = 0;  // ends with each crash
  bool open = false;
  bool broken = false;  // a write's fate is unknown: no more of them in this life
  std::optional<SimFault> next_fault;
  bool disk_full = false;
  unsigned disk_used_percent = 0;
  bool reads_fail = false;
  std::uint64_t live_bytes = 0;
  std::uint64_t writes = 0;

  const std::optional<std::string>* find(Family family, std::string_view key, std::uint64_t when) const;
  void set(Family family, const std::string& key, std::optional<std::string> value);
  void apply(const Batch& batch, bool keep_undo);
  void undo_last();
  void apply_torn();
  void end_life();
  std::uint64_t add_reader() { return *readers.insert(version); }
  void remove_reader(std::uint64_t when);
  void trim(Family family, const std::string& key);
  SimCopy copy() const;
  std::map<std::string, std::string> copy(Family family) const;
};

}  // namespace refrain::store
