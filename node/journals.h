// SPDX-License-Identifier: Apache-2.0
// A node's journals: its own, which it publishes, and the others', which it applies.
//
// One thread, within a step: read() fills the running batch of the ledger; after the batch was written,
// written(); when it was not, not_written() and everything is read again.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"
#include "node/config.h"
#include "node/ledger.h"
#include "node/reports.h"
#include "node/world.h"
#include "replication/journal_reader.h"
#include "replication/membership.h"
#include "replication/publisher.h"

namespace refrain::node {

/// What membership says that reading and publishing go by, fresh at each step.
struct JournalRules {
  const std::set<NodeName>& journals;  // nodes whose journals are to be read; never this node's own
  const std::set<NodeName>& orphans;   // of them those that no active member writes: a reader makes the topic
  std::function<replication::IncarnationFacts(const Journal&)> incarnation;
  bool may_apply = false;    // the store is a member's or a joiner's that has its snapshot
  bool read_own = false;     // an active member: its topic is made, and read to its end
  bool may_publish = false;  // and was not found ahead of the directory
};

class Journals {
 public:
  Journals(const Config& config, const World& world, Ledger& ledger,
           std::map<NodeName, store::ReadCursor> cursors);

  void read(const Moment& now, const JournalRules& rules);
  void written(const Moment& now, std::vector<NewCommit> commits);
  void not_written();
  /// Forgets every reader, and where it stood: the store was emptied or filled by a snapshot.
  void start_over(std::map<NodeName, store::ReadCursor> cursors);

  bool has_more() const { return has_more_; }
  std::optional<SteadyNs> wakes_at() const { return wakes_at_; }
  /// Reads a journal again, from where its stored cursor stands or from the log's start.
  void read_again(const NodeName& node, bool from_start, const Moment& now);

  // ---- what was seen since it was last taken
  bool take_read_members_first() { return std::exchange(read_members_first_, false); }
  bool take_tick_wanted() { return std::exchange(tick_wanted_, false); }
  std::vector<HealedReport> take_healed() { return std::exchange(healed_, {}); }

  // ---- state
  const replication::Publisher& publisher() const { return publisher_; }
  void retry_now() { publisher_.retry_now(); }
  Result<void> resume(const NodeName& node, std::optional<Offset> skip);
  const replication::JournalReader* reader(const NodeName& node) const;
  const std::map<NodeName, std::unique_ptr<replication::JournalReader>>& readers() const { return readers_; }
  std::map<Journal, Seq> gaps() const;
  std::map<Journal, Seq> readable() const;
  bool own_end_seen() const { return own_end_seen_; }
  /// False: it will not be read for now. Kafka is away, its topic cannot be made, or it is parked.
  bool own_can_be_read() const {
    return world_.log->health().reachable && own_topic_trouble_.empty() &&
           !(own_reader_ && own_reader_->parked());
  }
  /// Why the own topic could not be made, as of the newest try; empty when it could.
  const std::string& own_topic_trouble() const { return own_topic_trouble_; }
  /// Our topic, or a peer's tick, has commits of ours that the directory does not.
  bool rolled_back() const { return rolled_back_; }
  /// The newest own commit that is surely of this directory's journal, when that is found to be ahead.
  const store::Applied& at_start() const { return at_start_; }
  /// No own commit that is newer has been sent by this directory.
  Seq others_may_have() const { return others_may_have_; }
  /// What reading our own topic to its end found; none before.
  const std::optional<replication::OwnJournal>& own_journal() const { return own_journal_; }
  std::map<NodeName, replication::JournalPass> passes() const;
  const std::map<Journal, SteadyNs>& heard() const { return heard_; }
  /// When the newest tick of a journal was applied here.
  std::optional<SteadyNs> heard_at(const Journal& journal) const;
  /// wall at arrival minus the tick's wall: the peer's clock against ours, with the delay in it.
  std::optional<std::int64_t> clock_offset_ms(const Journal& journal) const;
  /// Lowest seq that the writer of a journal behind a gap still keeps: above our gap, nothing will fill it.
  std::optional<Seq> lowest_kept(const Journal& journal) const;
  const std::map<Journal, Seq>& lowest_kept() const { return lowest_kept_; }

 private:
  replication::PollFacts facts(const Moment& now, const JournalRules& rules) const;
  void read_others(const Moment& now, const JournalRules& rules);
  void read_own(const Moment& now, const JournalRules& rules);
  void make_own_topic(const Moment& now);
  void make_orphans_topic(const NodeName& node, const Moment& now);
  replication::TopicSpec spec_of(const NodeName& node) const;
  void take_own(const Moment& now, const replication::JournalEvent& event);
  replication::PollFacts own_facts(const Moment& now, const JournalRules& rules) const;
  std::optional<store::ReadCursor> stored_cursor(const NodeName& node) const;
  bool take(const Moment& now, const NodeName& node, replication::JournalEvent& event);
  Result<void> apply(const Moment& now, store::Commit& commit);
  bool is_not_ours(const Journal& by, const store::Applied& shown);
  void found_rolled_back(Seq newest);
  void move_own_cursor(const Moment& now);
  void heed_gaps(const Moment& now, const NodeName& by, const std::map<Journal, Seq>& gaps);
  void note_filled_gaps(const Moment& now);
  std::string topic_of(const NodeName& node) const;

  const Config& config_;
  const World& world_;
  Ledger& ledger_;
  replication::Publisher publisher_;
  std::map<NodeName, std::unique_ptr<replication::JournalReader>> readers_;
  std::unique_ptr<replication::JournalReader> own_reader_;
  std::map<NodeName, store::ReadCursor> cursors_;  // as stored
  std::map<NodeName, store::ReadCursor> moved_;    // in the running batch
  store::Applied at_start_;  // the newest own commit, or the one before what was written unproven
  Seq others_may_have_;
  std::map<Journal, Seq> compared_;  // the newest own commit that a tick of it showed and that is ours

  std::unique_ptr<replication::Pending<void>> own_topic_;  // being made
  bool own_topic_ready_ = false;
  std::optional<SteadyNs> own_topic_retry_at_;
  std::string own_topic_trouble_;
  struct Making {  // the topic of an orphan that is not there
    std::unique_ptr<replication::Pending<void>> answer;
    SteadyNs not_before;
  };
  std::map<NodeName, Making> making_;
  std::optional<SteadyNs> own_cursor_moved_at_;
  bool own_end_seen_ = false;
  std::string own_checked_in_;  // Kafka's id for the cluster in which the end was seen
  bool rolled_back_ = false;
  bool may_publish_ = false;

  bool has_more_ = false;
  bool read_members_first_ = false;
  bool tick_wanted_ = false;
  std::vector<HealedReport> healed_;
  std::map<Journal, Seq> open_gaps_;  // first missing seq, until all behind it is applied
  std::map<Journal, SteadyNs> heard_;
  std::map<Journal, std::int64_t> clock_offset_ms_;
  std::optional<replication::OwnJournal> own_journal_;
  replication::OwnJournal own_found_;
  struct Opened {
    SteadyNs at;
    bool from_start = false;
  };
  std::map<NodeName, Opened> opened_;
  std::optional<SteadyNs> wakes_at_;
  std::map<Journal, Seq> lowest_kept_;
};

}  // namespace refrain::node
