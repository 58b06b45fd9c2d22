// SPDX-License-Identifier: Apache-2.0
// Histories of one key, drawn at random, against an oracle that knows for each version the whole set of
// versions that had happened before it, and nothing of contexts.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <random>
#include <set>

#include "tests/unit/store/replica.h"

namespace refrain::store {
namespace {

using Past = std::set<Version>;

struct History {
  std::vector<Commit> commits;     // in the order in which they were written
  std::map<Version, Past> before;  // what had happened before each
};

/// Three nodes write and apply each other's journals in order, now and then.
History draw_history(std::mt19937& random, std::size_t steps) {
  const std::vector<NodeName> names = {"ap", "eu", "us"};
  std::vector<std::unique_ptr<Replica>> replicas;
  std::vector<std::vector<Commit>> journals(3);
  std::vector<std::vector<std::size_t>> cursors(3, std::vector<std::size_t>(3, 0));
  std::vector<Past> known(3);
  History history;
  for (const NodeName& name : names) replicas.push_back(std::make_unique<Replica>(name));
  for (std::size_t step = 0; step < steps; ++step) {
    std::size_t at = random() % 3;
    if (random() % 3 == 0) {
      Commit commit = replicas[at]->write("k", std::to_string(step), random() % 4 == 0);
      history.before[commit.version()] = known[at];
      known[at].insert(commit.version());
      journals[at].push_back(commit);
      history.commits.push_back(commit);
      continue;
    }
    std::size_t from = random() % 3;
    if (from == at || cursors[at][from] == journals[from].size()) continue;
    const Commit& commit = journals[from][cursors[at][from]++];
    replicas[at]->apply(commit);
    known[at].insert(commit.version());
    known[at].merge(Past(history.before[commit.version()]));
  }
  return history;
}

std::vector<Commit> any_order_with_repeats(std::mt19937& random, const History& history) {
  std::vector<Commit> commits = history.commits;
  for (std::size_t i = 0; i < history.commits.size() / 2; ++i) {
    commits.push_back(history.commits[random() % history.commits.size()]);
  }
  std::shuffle(commits.begin(), commits.end(), random);
  return commits;
}

bool concurrent_by(const History& history, const Version& a, const Version& b) {
  return a != b && !history.before.at(a).contains(b) && !history.before.at(b).contains(a);
}

/// What the newest version had not seen and nobody else has overwritten.
std::set<std::string> open_by(const History& history) {
  std::set<std::string> ids;
  const Version& newest = history.before.rbegin()->first;
  auto lost_unseen = [&](const Version& v) { return concurrent_by(history, v, newest); };
  for (const auto& [version, past] : history.before) {
    if (!lost_unseen(version)) continue;
    bool overwritten = false;
    for (const auto& [other, its_past] : history.before) {
      if (lost_unseen(other) && its_past.contains(version)) overwritten = true;
    }
    if (!overwritten) ids.insert(conflict_id("ns", "k", version, newest));
  }
  return ids;
}

std::set<std::string> ids_of(const std::vector<Conflict>& conflicts) {
  std::set<std::string> ids;
  for (const Conflict& conflict : conflicts) ids.insert(conflict.id);
  return ids;
}

RC_GTEST_PROP(KvMerge, AnyOrderOfArrivalAndAnyRepeatGivesTheSameRowAndTheOraclesOpenConflicts,
              (std::uint32_t seed)) {
  std::mt19937 random(seed);
  History history = draw_history(random, 12 + random() % 60);
  RC_PRE(!history.commits.empty());
  std::optional<std::string> row;
  for (int replica = 0; replica < 4; ++replica) {
    Replica reader("reader");
    for (const Commit& commit : any_order_with_repeats(random, history)) {
      RC_ASSERT(!reader.apply(commit).cloned);
      if (random() % 8 == 0) reader.flush();
    }
    if (!row) row = reader.row("k");
    RC_ASSERT(reader.row("k") == *row);
    RC_ASSERT(ids_of(reader.open()) == open_by(history));
    RC_ASSERT(reader.conflicts.stats().open == open_by(history).size());
    for (const Conflict& conflict : reader.listed()) {
      RC_ASSERT(concurrent_by(history, conflict.winner.version, conflict.loser.version));
      RC_ASSERT(conflict.loser.version < conflict.winner.version);
    }
  }
  RC_ASSERT(decode_kv(*row)->version == history.before.rbegin()->first);
}

RC_GTEST_PROP(KvMerge, WhatIsCountedIsWhatOnePassOverTheRowsCounts, (std::uint32_t seed)) {
  std::mt19937 random(seed);
  ConflictLimits limits{Milliseconds{50}, 2000, 8};
  Replica reader("reader", limits);
  for (int key = 0; key < 3; ++key) {
    History history = draw_history(random, 40);
    for (Commit& commit : history.commits) {
      for (Operation& operation : commit.operations) {
        if (auto* put = std::get_if<Put>(&operation)) put->key += std::to_string(key);
        if (auto* del = std::get_if<Delete>(&operation)) del->key += std::to_string(key);
      }
      reader.apply(commit);
      reader.now = reader.now + Milliseconds{static_cast<std::int64_t>(random() % 10)};
      if (random() % 3 == 0) reader.flush();
      if (random() % 3 == 0)
        RC_ASSERT(reader.conflicts.expire(*reader.draft, reader.now, random() % 4).has_value());
    }
  }
  reader.flush();
  ConflictLog again(limits);
  RC_ASSERT(again.load(*reader.engine).has_value());
  RC_ASSERT(again.stats() == reader.conflicts.stats());
  RC_ASSERT(reader.open().size() == again.stats().open);
  RC_ASSERT(reader.listed().size() == again.stats().kept);
}

}  // namespace
}  // namespace refrain::store
