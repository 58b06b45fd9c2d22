// SPDX-License-Identifier: Apache-2.0
// A state of the store that somebody reads in steps. The node takes it away when it closes the engine.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "node/assembly.h"
#include "store/digest.h"
#include "store/snapshot.h"

namespace refrain::node {

struct Node::Cut {
  // Of a snapshot: who takes it, and how far it is.
  std::unique_ptr<store::SnapshotWriter> writer;
  std::string whom;
  std::uint64_t expected_rows = 0;
  std::atomic<std::uint64_t> rows{0};  // given so far
  std::atomic<std::uint64_t> bytes{0};
  // Of a count for the digest.
  std::unique_ptr<store::View> view;
  std::unique_ptr<store::DigestCount> count;  // of the view

  void close() {
    writer.reset();
    count.reset();
    view.reset();
  }
};

}  // namespace refrain::node
