// SPDX-License-Identifier: Apache-2.0
// The truth about who has seen what, kept beside the nodes and never read by them. It watches what each
// node's engine wrote: which commits came to be, which each node had taken in before, and so, for every
// write, which versions of its key its writer had seen. From that follows which versions are in conflict, by
// the definition (neither writer had seen the other) and not by the product's vectors.
//
// Of the product it uses what is on disk and on the wire (Meta, Outbox, codec), none of merge, context or
// conflict code. Within one batch a node applies the others' commits, by node name, before it decides its
// own: so it is built.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"
#include "store/engine.h"
#include "store/operations.h"

namespace refrain::simulation {

/// Some of a row's versions, each by the place that it got when it came to be.
class VersionSet {
 public:
  void insert(std::size_t place) {
    if (place / 64 >= words_.size()) words_.resize(place / 64 + 1);
    words_[place / 64] |= std::uint64_t{1} << place % 64;
  }
  void insert(const VersionSet& other) {
    if (other.words_.size() > words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  }
  bool contains(std::size_t place) const {
    return place / 64 < words_.size() && (words_[place / 64] >> place % 64 & 1) != 0;
  }

 private:
  std::vector<std::uint64_t> words_;
};

struct GhostWrite {
  std::string row;                   // ns 0x00 key
  std::optional<std::string> value;  // none = deleted
  std::optional<WallMs> expires_at;  // not visible from then on
  std::size_t place = 0;             // of its version among the row's
  VersionSet past;                   // versions of the row that its writer had seen
};

struct GhostCommit {
  CommitId id;
  Version version;
  std::vector<GhostWrite> writes;
  std::string bytes;
  bool says_nothing = false;  // a tick
};

/// What one node has taken in.
struct GhostNode {
  struct Taken {  // one batch that took commits in
    std::vector<CommitId> commits;
    store::AppliedTable applied;  // after it
  };
  Incarnation incarnation;  // of its directory
  std::vector<Taken> taken;
  store::AppliedTable applied;
  store::AppliedTable durable;              // what a power cut would leave of it
  std::map<std::string, VersionSet> known;  // by row: what it merged, and what their writers had seen
  std::map<std::string, std::pair<Version, const GhostWrite*>> newest;  // by row: the largest that it merged
};

class Ghost {
 public:
  explicit Ghost(std::size_t nodes) : nodes_(nodes) {}

  /// The engine of a node was opened, or has written: takes in what is new, takes back what was lost.
  /// `all_synced`: a power cut now would take nothing.
  void look(std::size_t node, const store::View& view, bool all_synced);
  /// Its disk is gone.
  void lose(std::size_t node) { nodes_[node] = {}; }
  /// Commits of the journal beyond `end` count nowhere: as if they had never been.
  void forget_beyond(const Journal& journal, Seq end);
  /// All nodes are gone. The founder of a new cluster, and whoever has anything from here on, begins with
  /// these commits, of journals that nobody reads any more. All others are as if they had never been.
  void begin_again(const store::AppliedTable& before, Incarnation founder);
  const store::AppliedTable& before() const { return before_; }
  /// The incarnation may be over without knowing it: its versions need not be above what is stable.
  void doubt(Incarnation incarnation) { doubted_.insert(incarnation); }
  std::optional<CommitId> minted(const Version& version) const {
    auto found = minted_.find(version);
    return found == minted_.end() ? std::nullopt : std::optional(found->second);
  }

  /// The newest commit of a journal below an hlc that was ever made.
  Seq newest_below(const Journal& journal, Hlc hlc) const;
  /// The newest own commit of a node that was ever made.
  std::optional<Hlc> newest_of(const NodeName& node) const {
    auto found = newest_.find(node);
    return found == newest_.end() ? std::nullopt : std::optional(found->second);
  }
  /// Nothing may be committed at or below this any more: some node has said that everybody has everything up
  /// to there.
  void promise_stable(Hlc hlc) { promised_stable_ = std::max(promised_stable_, hlc); }

  const GhostNode& node(std::size_t node) const { return nodes_[node]; }
  const std::map<CommitId, GhostCommit>& commits() const { return commits_; }
  /// Every version of each key that was ever committed, with its write.
  std::map<std::string, std::map<Version, const GhostWrite*>> versions() const;
  std::map<Version, const GhostWrite*> versions(const std::string& row) const;
  /// What cannot be, found while looking on.
  const std::vector<std::string>& wrongs() const { return wrongs_; }

 private:
  void take_in_new(std::size_t index, const store::View& view);
  void take_back(GhostNode& node, const store::AppliedTable& applied);
  void take_in(GhostNode& node, const Journal& own, const store::AppliedTable& applied,
               const store::View& view);
  void write_down(const GhostNode& node, const Journal& own, Seq seq, const store::View& view);
  void check_hlc(const Journal& own, Seq seq, Hlc hlc);
  void merge(GhostNode& node, const GhostCommit& commit);
  bool take(GhostNode& node, const CommitId& id);

  std::vector<GhostNode> nodes_;
  std::map<CommitId, GhostCommit> commits_;
  std::map<Version, CommitId> minted_;
  std::map<std::string, std::size_t> versions_;  // by row: how many there are
  std::map<Journal, std::vector<Hlc>> hlcs_;     // by seq - 1, in the order in which they were made
  std::map<NodeName, Hlc> newest_;
  Hlc promised_stable_;
  store::AppliedTable before_;
  Incarnation founder_;
  Hlc newest_before_;
  std::set<Incarnation> doubted_;
  std::vector<std::string> wrongs_;
};

}  // namespace refrain::simulation
