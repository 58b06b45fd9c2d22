// SPDX-License-Identifier: Apache-2.0
#include "ghost.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "programs.h"
#include "replication/codec.h"
#include "store/meta.h"
#include "store/outbox.h"

namespace refrain::simulation {
namespace {

Seq seq_of(const store::AppliedTable& applied, const Journal& journal) {
  auto found = applied.find(journal);
  return found == applied.end() ? Seq{} : found->second.seq;
}

/// Everything in `a` is in `b`.
bool covered(const store::AppliedTable& a, const store::AppliedTable& b) {
  return std::ranges::all_of(a,
                             [&](const auto& entry) { return entry.second.seq <= seq_of(b, entry.first); });
}

std::string row_of(const std::string& ns, const std::string& key) {
  return ns + '\0' + key;
}

std::vector<GhostWrite> writes_of(const store::Commit& commit) {
  std::vector<GhostWrite> writes;
  for (const store::Operation& operation : commit.operations) {
    if (const auto* put = std::get_if<store::Put>(&operation))
      writes.push_back({row_of(put->ns, put->key), put->value, put->expires_at, 0, {}});
    if (const auto* del = std::get_if<store::Delete>(&operation))
      writes.push_back({row_of(del->ns, del->key), std::nullopt, std::nullopt, 0, {}});
  }
  return writes;
}

}  // namespace

void Ghost::look(std::size_t index, const store::View& view, bool all_synced) {
  take_in_new(index, view);
  GhostNode& node = nodes_[index];
  if (all_synced && node.durable != node.applied) node.durable = node.applied;
}

void Ghost::take_in_new(std::size_t index, const store::View& view) {
  auto identity = store::Meta::identity(view);
  auto applied = store::Meta::applied(view);
  if (!identity || !applied || !*identity) return;  // dead, or not born yet
  GhostNode& node = nodes_[index];
  if (!applied->empty() || (*identity)->incarnation == founder_)
    applied->insert(before_.begin(), before_.end());
  node.incarnation = (*identity)->incarnation;
  if (*applied == node.applied) return;
  if (!covered(node.applied, *applied)) take_back(node, *applied);
  take_in(node, {(*identity)->node, (*identity)->incarnation}, *applied, view);
}

/// A power cut took the newest batches, or the store was emptied: goes back to where it stands now.
void Ghost::take_back(GhostNode& node, const store::AppliedTable& applied) {
  std::vector<GhostNode::Taken> kept = std::move(node.taken);
  Incarnation incarnation = node.incarnation;
  while (!kept.empty() && !covered(kept.back().applied, applied)) kept.pop_back();
  node = {};
  node.incarnation = incarnation;
  for (GhostNode::Taken& taken : kept) {
    for (const CommitId& id : taken.commits) take(node, id);
    node.applied = taken.applied;
    node.taken.push_back(std::move(taken));
  }
}

void Ghost::take_in(GhostNode& node, const Journal& own, const store::AppliedTable& applied,
                    const store::View& view) {
  GhostNode::Taken taken{{}, applied};
  auto take_journal = [&](const Journal& journal, Seq upto) {
    for (Seq seq = seq_of(node.applied, journal).next(); seq <= upto; seq = seq.next()) {
      if (journal == own) write_down(node, own, seq, view);
      CommitId id{journal.node, journal.incarnation, seq};
      if (!take(node, id)) return;
      taken.commits.push_back(id);
    }
  };
  for (const auto& [journal, upto] : applied) {
    if (journal != own) take_journal(journal, upto.seq);
  }
  take_journal(own, seq_of(applied, own));
  node.applied = applied;
  node.taken.push_back(std::move(taken));
}

/// A commit of this node that came to be: what its writer had seen is what the node had taken in.
void Ghost::write_down(const GhostNode& node, const Journal& own, Seq seq, const store::View& view) {
  CommitId id{own.node, own.incarnation, seq};
  auto bytes = store::Outbox::get(view, seq);
  if (!bytes || !*bytes) return;  // known already, and stable since
  if (auto known = commits_.find(id); known != commits_.end()) {
    if (known->second.bytes != **bytes)
      wrongs_.push_back(fmt::format("commit {} was written twice, with other content", format_commit_id(id)));
    return;
  }
  auto decoded = replication::decode(**bytes, own.node, kNextProgram.max);
  if (!decoded) {
    wrongs_.push_back(
        fmt::format("commit {} cannot be decoded: {}", format_commit_id(id), decoded.error().detail));
    return;
  }
  const store::Commit& commit = decoded->commit;
  auto [minted, fresh] = minted_.emplace(commit.version(), id);
  bool lost = !fresh && !commits_.contains(minted->second);  // with a cluster that was restored from before
  if (lost) minted->second = id;
  if (!fresh && !lost)
    wrongs_.push_back(fmt::format("version {} was minted twice: by {} and {}",
                                  format_version(commit.version()), format_commit_id(minted->second),
                                  format_commit_id(id)));
  GhostCommit ghost{id, commit.version(), writes_of(commit), std::move(**bytes), commit.tick.has_value()};
  for (GhostWrite& write : ghost.writes) {
    write.place = versions_[write.row]++;
    auto known = node.known.find(write.row);
    if (known != node.known.end()) write.past = known->second;
  }
  commits_.emplace(id, std::move(ghost));
  check_hlc(own, seq, commit.hlc);
}

void Ghost::check_hlc(const Journal& own, Seq seq, Hlc hlc) {
  CommitId id{own.node, own.incarnation, seq};
  std::vector<Hlc>& hlcs = hlcs_[own];
  if (seq.value != hlcs.size() + 1) return;  // made again, after a power cut took the one before
  if (!hlcs.empty() && hlc <= hlcs.back())
    wrongs_.push_back(fmt::format("commit {} is not newer than the one before it", format_commit_id(id)));
  if (hlc <= newest_before_ && !before_.contains(own))
    wrongs_.push_back(fmt::format("commit {} is not above what was restored", format_commit_id(id)));
  if (hlc <= promised_stable_ && !doubted_.contains(own.incarnation))
    wrongs_.push_back(
        fmt::format("commit {} came to be at or below what was said to be stable", format_commit_id(id)));
  hlcs.push_back(hlc);
  newest_[own.node] = hlc;
}

void Ghost::begin_again(const store::AppliedTable& before, Incarnation founder) {
  founder_ = founder;
  for (GhostNode& node : nodes_) node = {};
  std::erase_if(commits_, [&](const auto& entry) {
    const CommitId& id = entry.first;
    return id.seq > seq_of(before, {id.node, id.incarnation});
  });
  before_ = before;
  for (const auto& [journal, applied] : before) newest_before_ = std::max(newest_before_, applied.hlc);
  promised_stable_ = {};
}

void Ghost::forget_beyond(const Journal& journal, Seq end) {
  std::erase_if(commits_, [&](const auto& entry) {
    const CommitId& id = entry.first;
    return id.node == journal.node && id.incarnation == journal.incarnation && id.seq > end;
  });
}

Seq Ghost::newest_below(const Journal& journal, Hlc hlc) const {
  auto found = hlcs_.find(journal);
  if (found == hlcs_.end()) return {};
  auto first_not = std::ranges::lower_bound(found->second, hlc);
  return {static_cast<std::uint64_t>(first_not - found->second.begin())};
}

bool Ghost::take(GhostNode& node, const CommitId& id) {
  auto commit = commits_.find(id);
  if (commit == commits_.end()) {
    wrongs_.push_back(fmt::format("commit {} was applied, but nobody wrote it", format_commit_id(id)));
    return false;
  }
  merge(node, commit->second);
  return true;
}

void Ghost::merge(GhostNode& node, const GhostCommit& commit) {
  for (const GhostWrite& write : commit.writes) {
    VersionSet& known = node.known[write.row];
    known.insert(write.past);
    known.insert(write.place);
    auto& newest = node.newest[write.row];
    if (newest.first < commit.version) newest = {commit.version, &write};
  }
}

std::map<Version, const GhostWrite*> Ghost::versions(const std::string& row) const {
  std::map<Version, const GhostWrite*> versions;
  for (const auto& [id, commit] : commits_) {
    for (const GhostWrite& write : commit.writes) {
      if (write.row == row) versions.emplace(commit.version, &write);
    }
  }
  return versions;
}

std::map<std::string, std::map<Version, const GhostWrite*>> Ghost::versions() const {
  std::map<std::string, std::map<Version, const GhostWrite*>> versions;
  for (const auto& [id, commit] : commits_) {
    for (const GhostWrite& write : commit.writes) versions[write.row].emplace(commit.version, &write);
  }
  return versions;
}

}  // namespace refrain::simulation
