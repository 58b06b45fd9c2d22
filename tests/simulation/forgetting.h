// SPDX-License-Identifier: Apache-2.0
// What a node forgets, judged as it writes: its floor by what stands on the others' disks, its rows by what
// it has taken in. Of the product it uses what is on disk (Meta, a row's bytes), nothing of watermarks, merge
// or collector; who has what comes from the ghost.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"
#include "store/engine.h"

namespace refrain::simulation {

class World;

class Forgetting {
 public:
  explicit Forgetting(World& world);

  /// A node has written; after the ghost has looked.
  void look(std::size_t node, const store::View& view);
  /// A node's store was opened: a power cut may have taken its newest floor.
  void look_at_opened(std::size_t node, const store::View& view);

  /// No node holds a row any more that may go: deleted, or ended at `ended`; save those in an open conflict.
  bool all_gone(WallMs ended);

  /// Version, value and end of every row are as the ghost knows; what a node holds of floors and contexts is
  /// what the others hold, above their floors.
  void check_all();

 private:
  struct Watched {
    const store::View* view = nullptr;  // as long as its process lives
    Hlc floor;
    SteadyNs floor_moved_at;
    SteadyNs rows_looked_at;
    std::set<std::string> gone;  // rows that it has collected
  };
  void check_floor(std::size_t node, Hlc floor);
  void check_rows(std::size_t node);

  World& world_;
  std::vector<Watched> nodes_;
};

}  // namespace refrain::simulation
