// SPDX-License-Identifier: Apache-2.0
// What a store must hold after a power cut, kept outside of it: every batch that the node was about to write,
// every answer that it gave, and the peer's journal as it stands in the log.
//
// After each start check() reads the whole store and says what is wrong:
//  - an own commit was acknowledged and is not applied;
//  - the kv rows are not exactly the merge of what the applied table says is in (so: a commit half there, the
//    table or the data ahead of the other, a row with another value);
//  - a read cursor has passed a record that is not applied;
//  - the outbox lacks a commit, or holds other bytes under its seq;
//  - the stored clock is behind a version that is in, so that one could be minted twice.
// And before each write: a seq whose commit survived a cut is not given again, nor is a version.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"
#include "replication/memory_broker.h"
#include "store/engine.h"
#include "store/operations.h"

namespace refrain::crash {

class Truth {
 public:
  Truth(NodeName own, NodeName peer, std::string cluster, const replication::MemoryBroker& broker)
      : own_(std::move(own)), peer_(std::move(peer)), cluster_(std::move(cluster)), broker_(broker) {}

  void before_write(const store::Batch& batch);
  void acknowledged(const CommitId& commit, Version version);
  void check(const store::View& view);

  /// What is in the log of the own journal: a seq is one commit, and versions rise.
  void check_own_topic();

  const std::vector<std::string>& wrongs() const { return wrongs_; }
  void wrong(std::string what) { wrongs_.push_back(std::move(what)); }
  std::size_t acknowledged_commits() const { return acknowledged_.size(); }
  std::uint64_t lost_unacknowledged() const { return lost_; }

 private:
  struct Kept {
    std::string bytes;
    store::Commit commit;
    bool survived = false;  // was there after a cut
  };
  struct Row {
    Version version;
    std::optional<std::string> value;
  };
  using Rows = std::map<std::string, Row>;

  std::string topic(const NodeName& node) const { return "refrain." + cluster_ + ".journal." + node; }
  void check_own(const store::View& view, const store::AppliedTable& applied);
  void check_outbox(const store::View& view, Seq newest, const std::map<Seq, Kept>& commits);
  void check_rows(const store::View& view, const store::AppliedTable& applied);
  void check_cursor(const store::View& view, const store::AppliedTable& applied);
  static void merge(const store::Commit& commit, Rows& rows);

  const NodeName own_;
  const NodeName peer_;
  const std::string cluster_;
  const replication::MemoryBroker& broker_;
  std::map<Incarnation, std::map<Seq, Kept>> commits_;
  std::map<CommitId, Version> acknowledged_;
  std::uint64_t lost_ = 0;
  std::vector<std::string> wrongs_;
};

}  // namespace refrain::crash
