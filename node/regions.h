// SPDX-License-Identifier: Apache-2.0
// The replicator of a node with brokers: membership, joining, journals and watermarks put together.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/catch_up.h"
#include "node/joining.h"
#include "node/journals.h"
#include "node/replicator.h"
#include "replication/membership.h"
#include "replication/watermarks.h"

namespace refrain::node {

class Regions final : public Replicator {
 public:
  static Result<std::unique_ptr<Replicator>> open(const Config& config, const World& world,
                                                  const Start& start, Ledger& ledger, const Moment& now);

  void read(const Moment& now) override;
  void journal_tick(const Moment& now) override;
  void written(const Moment& now, std::vector<NewCommit> commits) override;
  void not_written() override;
  bool has_more() const override { return journals_.has_more() || joining_.busy(); }
  std::optional<SteadyNs> wakes_at() const override;

  std::optional<Error> refusal(const Moment& now) const override;
  std::optional<Error> reads_refusal() const override;
  std::optional<Error> must_end() const override;
  bool active() const override { return membership_->active(); }
  Result<void> check_ack(const Ack& ack) const override;
  Progress progress() const override { return progress_; }
  bool covers(const Vector& session) const override;
  std::string describe_missing(const Vector& session) const override;
  Vector applied() const override;
  RegionFacts region_facts(const Moment& now) const override;
  std::optional<std::string> address_of(const NodeName& node) const override;
  std::optional<std::string> scope_differs(const std::string& ns) const override;

  Result<EventReport> event(const CommitId& id, const Moment& now) const override;
  void retry_now() override { journals_.retry_now(); }
  Result<void> resume(const NodeName& node, std::optional<Offset> skip) override {
    return journals_.resume(node, skip);
  }
  Result<MemberOrder> order(MemberOrder order, const Moment& now) override;
  MemberChange look(const MemberOrder& order) const override;
  void describe(StatusReport& report, const Moment& now) const override;
  std::string outbox_held_by() const override;
  MembersReport members(const Moment& now) const override;
  void add_checks(std::vector<Check>& checks, const Moment& now) const override;
  bool flushed() const override { return ledger_.books().published >= ledger_.books().newest; }

 private:
  Regions(const Config& config, const World& world, const Start& start, Ledger& ledger,
          std::map<NodeName, store::ReadCursor> cursors, const Moment& now);

  // ---- membership
  Result<void> make_membership();
  Result<void> resume_void();
  void take_membership_step(const Moment& now);
  void note_void();
  bool nothing_void_left() const;
  void start_over(const replication::StartOver& order);
  void note_standing();
  std::string own_join() const;
  bool may_apply() const;

  // ---- journals and watermarks
  JournalRules rules() const;
  replication::IncarnationFacts incarnation_facts(const Journal& journal) const;
  replication::Knowledge knowledge() const {
    return {membership_->table(), self_, ledger_.books().applied, ledger_.synced_applied(),
            ledger_.books().ticks};
  }
  void note_progress();
  void note_members();
  void note_healed(HealedReport healed);
  void expect_journals();
  std::vector<Journal> awaited_ends() const;
  std::vector<Journal> awaited_joiners() const;
  void note_caught_up();
  void note_kafka(const Moment& now);
  void note_oldest_unsynced();
  store::Tick make_tick(Seq seq, Hlc hlc) const;

  // ---- orders (regions_orders.cc)
  Result<MemberOrder> order_evict(MemberOrder order, const Moment& now);

  // ---- words for people
  std::optional<replication::OutboxHolder> outbox_holder() const;
  std::string why_unsent(bool failed, const std::string& last_error) const;
  std::string why_not(const Journal& reader, const Moment& now) const;
  MemberReport member_report(Incarnation incarnation, const replication::Member& member,
                             const Moment& now) const;
  void describe_sync(SyncReport& sync, const Moment& now) const;
  std::vector<ParkedReport> parked() const;
  std::optional<SteadyNs> heard_at(const Journal& journal) const;

  const Config& config_;
  const Sha256 rules_hash_;  // of config_.requests
  const World& world_;
  const Start& start_;
  Ledger& ledger_;
  Journal self_;
  std::unique_ptr<replication::Membership> membership_;
  Joining joining_;
  Journals journals_;
  SteadyNs opened_at_;
  CatchUp catch_up_;
  struct MembersNoted {
    Sha256 hash{};
    replication::Mode mode{};
    bool read_since_start = false;
    bool operator==(const MembersNoted&) const = default;
  };
  std::optional<MembersNoted> members_noted_;
  std::set<NodeName> journals_read_;
  std::set<NodeName> orphans_;
  Progress progress_;
  struct ProgressSources {  // what it was worked out from
    std::uint64_t ledger_revision = 0;
    Seq published;
    Sha256 members;
    bool active = false;
    bool operator==(const ProgressSources&) const = default;
  };
  std::optional<ProgressSources> progress_sources_;
  Seq stable_;
  Hlc stable_hlc_;
  std::optional<SteadyNs> joining_due_;
  std::optional<Seq> void_from_;   // own commits that are to be kept aside
  std::optional<Seq> void_noted_;  // the end of the own journal beyond which that was asked for
  bool persisting_ = false;        // the running batch holds what membership wants durable
  std::optional<store::AgreedEntry> agreed_given_;  // by membership, in the running batch
  bool was_active_ = false;
  std::optional<std::pair<replication::Mode, std::string>> said_standing_;

  bool tick_wanted_ = false;
  std::optional<SteadyNs> ticked_at_;
  std::optional<SteadyNs> tick_due_;  // none: nothing to do, or waiting for something that wakes us
  std::optional<Seq> last_tick_;
  SteadyNs membership_due_;
  std::deque<HealedReport> healed_;
  std::optional<WallMs> kafka_since_;  // unreachable since
  struct Unsynced {
    Seq seq;
    WallMs at;
  };
  std::optional<SteadyNs> kafka_looked_at_;
  Seq looked_past_;                          // only ticks up to here
  std::optional<Unsynced> oldest_unsynced_;  // of own commits with operations
};

}  // namespace refrain::node
