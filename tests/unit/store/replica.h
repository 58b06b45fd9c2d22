// SPDX-License-Identifier: Apache-2.0
// One key at one node, on the simulated engine: writes and applies as a node does.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "store/conflicts.h"
#include "store/draft.h"
#include "store/kv.h"
#include "store/sim_engine.h"

namespace refrain::store {

inline Put put_of(const std::string& key, const std::string& value, Context ctx = {}) {
  return {"ns", key, value, std::nullopt, std::move(ctx)};
}

inline Commit commit_of(const NodeName& node, std::uint64_t hlc) {
  Commit commit;
  commit.node = node;
  commit.hlc = {hlc};
  return commit;
}

class Replica {
 public:
  explicit Replica(NodeName name, ConflictLimits limits = {}) : conflicts(limits), name_(std::move(name)) {
    engine = std::move(*SimEngine::open(disk));
    draft = std::make_unique<Draft>(*engine);
  }

  /// A local write, with the context that this node's row gives.
  Commit write(const std::string& key, const std::string& value, bool deleted = false) {
    auto current = read_record(*draft, "ns", key);
    EXPECT_TRUE(current);
    Commit commit = commit_of(name_, ++newest_);
    Context ctx = context_for_write(*current, name_);
    if (deleted) {
      commit.operations.push_back(Delete{"ns", key, ctx});
    } else {
      commit.operations.push_back(put_of(key, value, ctx));
    }
    apply(commit);
    return commit;
  }

  MergeResult apply(const Commit& commit) {
    newest_ = std::max(newest_, commit.hlc.value);
    MergeResult last;
    for (const Operation& operation : commit.operations) {
      Result<MergeResult> merged = MergeResult{};
      if (const auto* put = std::get_if<Put>(&operation))
        merged = merge(*draft, *put, commit, conflicts, now);
      if (const auto* del = std::get_if<Delete>(&operation))
        merged = merge(*draft, *del, commit, conflicts, now);
      EXPECT_TRUE(merged);
      last = *merged;
    }
    return last;
  }

  void flush() {
    ASSERT_TRUE(engine->write(draft->take(), Durability::kSynced));
    draft->clear();
  }

  std::string row(const std::string& key) {
    return draft->get(Family::kKv, kv_key("ns", key))->value_or("(none)");
  }

  /// Written ones, in order of id.
  std::vector<Conflict> listed(const std::string& key = "") {
    flush();
    std::vector<Conflict> found;
    auto page = *ConflictLog::list(*engine, key.empty() ? "" : "ns", key, "", false, 1000);
    for (ListedConflict& item : page.items) found.push_back(std::move(item.conflict));
    return found;
  }
  std::vector<Conflict> open(const std::string& key = "") {
    std::vector<Conflict> found = listed(key);
    std::erase_if(found, [&](const Conflict& conflict) { return !*ConflictLog::is_open(*engine, conflict); });
    return found;
  }

  WallMs now{1000};
  SimDisk disk;
  std::unique_ptr<SimEngine> engine;
  std::unique_ptr<Draft> draft;
  ConflictLog conflicts;

 private:
  NodeName name_;
  std::uint64_t newest_ = 0;
};

}  // namespace refrain::store
