// SPDX-License-Identifier: Apache-2.0
// A state of the store that somebody reads in steps. The node takes it away when it closes the engine.
#pragma once
#include <memory>

#include "node/assembly.h"
#include "store/digest.h"
#include "store/snapshot.h"

namespace refrain::node {

struct Node::Cut {
  std::unique_ptr<store::SnapshotWriter> writer;
  std::unique_ptr<store::View> view;
  std::unique_ptr<store::DigestCount> count;  // of the view

  void close() {
    writer.reset();
    count.reset();
    view.reset();
  }
};

}  // namespace refrain::node
