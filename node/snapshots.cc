// SPDX-License-Identifier: Apache-2.0
// Node's snapshots: one cut of an active member, streamed while writes go on; and backups.
#include <atomic>

#include "node/assembly.h"
#include "node/cut.h"
#include "store/backup.h"

namespace refrain::node {

class Node::CutSource final : public SnapshotSource {
 public:
  CutSource(Node& node, std::shared_ptr<Cut> cut) : node_(node), cut_(std::move(cut)) {}
  ~CutSource() override {
    // Not while the engine is being closed: the cut is a part of it.
    std::shared_lock lock(node_.engine_mutex_);
    cut_->close();
  }

  Result<State> next(std::string& block) override {
    std::shared_lock lock(node_.engine_mutex_);
    if (!cut_->writer)
      return unavailable("store_failed",
                         "The store of this node was closed while the snapshot ran. Ask again.");
    if (finished_) return State::kEnd;
    auto given = cut_->writer->next();
    if (!given) return given.error();
    if (*given) {
      block = std::move(**given);
      cut_->rows = cut_->writer->totals().rows;
      cut_->bytes = cut_->writer->totals().bytes;
      return State::kBlock;
    }
    // What the cut has of this node must be readable in its journal too, or the joiner could have what nobody
    // else gets.
    if (node_.published_.load() < cut_->writer->newest_own().value) return State::kWait;
    finished_ = true;
    block = cut_->writer->finish();
    return State::kBlock;
  }
  std::uint64_t expected_rows() const override { return cut_->expected_rows; }

 private:
  Node& node_;
  std::shared_ptr<Cut> cut_;
  bool finished_ = false;
};

Result<std::unique_ptr<SnapshotSource>> Node::snapshot(const std::string& whom) {
  if (config_.alone()) {
    return unavailable("no_founder",
                       "This node runs without brokers: there is no cluster that another node could join.");
  }
  std::shared_lock lock(engine_mutex_);
  if (!life_ || !active_member_.load()) {
    Error error =
        unavailable("joining", "This node is no active member and gives no snapshot. Ask an active one.");
    error.retry_after_ms = 1'000;
    return error;
  }
  auto writer = store::SnapshotWriter::start(life_->engine->snapshot());
  if (!writer) return writer.error();
  auto cut = std::make_shared<Cut>();
  cut->writer = std::move(*writer);
  cut->whom = whom;
  cut->expected_rows = life_->engine->stats().rows;
  std::lock_guard views(views_mutex_);
  std::erase_if(cuts_, [](const std::weak_ptr<Cut>& old) { return old.expired(); });
  cuts_.push_back(cut);
  return std::unique_ptr<SnapshotSource>(std::make_unique<CutSource>(*this, std::move(cut)));
}

// The engine stays while it is copied: closing it waits for that.
Result<BackupReport> Node::backup(const std::string& directory) {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  auto made = store::make_backup(*life_->engine, config_.node.data_dir, directory,
                                 {config_.node.name, config_.cluster, world_.clock->wall(), 0});
  if (!made) return made.error();
  return BackupReport{directory, made->node, made->cluster, made->at, made->bytes};
}

void Node::describe_cuts(StatusReport& report) {
  std::lock_guard views(views_mutex_);
  for (const std::weak_ptr<Cut>& weak : cuts_) {
    if (auto cut = weak.lock())
      report.snapshots.push_back({cut->whom, cut->rows, cut->bytes, cut->expected_rows});
  }
}

void Node::take_cuts_away() {
  std::lock_guard views(views_mutex_);
  for (const std::weak_ptr<Cut>& weak : cuts_) {
    if (auto cut = weak.lock()) cut->close();
  }
  cuts_.clear();
}

}  // namespace refrain::node
