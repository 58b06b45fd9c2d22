// SPDX-License-Identifier: Apache-2.0
// The replicator of a node without brokers: it is the only member, and its commits stay pending.
#pragma once
#include "node/replicator.h"

namespace refrain::node {

class Alone final : public Replicator {
 public:
  /// `cluster_of_one`: no other node can have or want its rows. The directory of a member that runs alone for
  /// a while forgets nothing: the others lack what it writes.
  Alone(const Config& config, Ledger& ledger, bool cluster_of_one)
      : config_(config), ledger_(ledger), cluster_of_one_(cluster_of_one) {}

  void read(const Moment& now) override;
  void journal_tick(const Moment&) override {}
  void written(const Moment&, std::vector<NewCommit>) override {}
  void not_written() override {}
  bool has_more() const override { return false; }
  std::optional<SteadyNs> wakes_at() const override { return std::nullopt; }

  std::optional<Error> refusal(const Moment&) const override { return std::nullopt; }
  std::optional<Error> must_end() const override { return std::nullopt; }
  bool active() const override { return true; }
  Result<void> check_ack(const Ack& ack) const override;
  Progress progress() const override;
  bool covers(const Vector& session) const override;
  std::string describe_missing(const Vector& session) const override;
  Vector applied() const override { return {{ledger_.identity().node, own_hlc()}}; }
  RegionFacts region_facts(const Moment&) const override { return {}; }
  std::optional<std::string> address_of(const NodeName&) const override { return std::nullopt; }
  std::optional<std::string> scope_differs(const std::string&) const override { return std::nullopt; }

  Result<EventReport> event(const CommitId& id, const Moment& now) const override;
  void retry_now() override {}
  Result<void> resume(const NodeName& node, std::optional<Offset> skip) override;
  Result<MemberOrder> order(MemberOrder, const Moment&) override {
    return invalid("invalid", "This node runs without brokers: there is no cluster and no other member.");
  }
  MemberChange look(const MemberOrder&) const override { return {}; }
  void describe(StatusReport& report, const Moment& now) const override;
  std::string outbox_held_by() const override {
    return "this node, which runs alone: it keeps all its commits until it has brokers";
  }
  MembersReport members(const Moment& now) const override;
  void add_checks(std::vector<Check>&, const Moment&) const override {}
  bool flushed() const override { return true; }

 private:
  Hlc own_hlc() const;
  const Config& config_;
  Ledger& ledger_;
  const bool cluster_of_one_;
};

}  // namespace refrain::node
