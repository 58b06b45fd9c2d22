// SPDX-License-Identifier: Apache-2.0
#include "node/alone.h"

#include <fmt/format.h>

#include "base/text.h"

namespace refrain::node {

/// All that is on this disk is everywhere. Once a second: the row is not worth a place in every batch.
void Alone::read(const Moment& now) {
  constexpr Milliseconds kFloorEvery{1'000};
  auto own = ledger_.synced_applied().find(ledger_.journal());
  if (!cluster_of_one_ || own == ledger_.synced_applied().end()) return;
  if (now.wall - ledger_.books().floor.wall() >= kFloorEvery) ledger_.raise_floor(own->second.hlc);
}

Result<void> Alone::check_ack(const Ack& ack) const {
  if (ack.kind == Ack::Kind::kLocal) return {};
  if (ack.kind == Ack::Kind::kNode && ack.node == ledger_.identity().node) return {};
  return invalid("ack_unavailable", "This node runs alone (no kafka.brokers): only ack=local can be had.");
}

bool Alone::covers(const Vector& session) const {
  auto own = session.find(ledger_.identity().node);
  return own == session.end() || own->second <= own_hlc();
}

std::string Alone::describe_missing(const Vector& session) const {
  auto own = session.find(ledger_.identity().node);
  if (own == session.end()) return "nothing";
  return fmt::format("{} up to {} (have {})", own->first, format_time(own->second.wall()),
                     format_time(own_hlc().wall()));
}

Hlc Alone::own_hlc() const {
  auto found = ledger_.books().applied.find(ledger_.journal());
  return found == ledger_.books().applied.end() ? Hlc{} : found->second.hlc;
}

Progress Alone::progress() const {
  Progress progress;
  progress.nodes[ledger_.identity().node] = ledger_.books().newest;
  return progress;
}

Result<EventReport> Alone::event(const CommitId& id, const Moment&) const {
  const store::Identity& own = ledger_.identity();
  if (id.node != own.node || (id.incarnation.value != 0 && id.incarnation != own.incarnation) ||
      id.seq > ledger_.books().newest || id.seq.value == 0) {
    return not_found(fmt::format("{} is no commit that this node knows.", format_commit_id(id)));
  }
  EventReport report;
  report.commit = {own.node, own.incarnation, id.seq};
  report.state = "pending";
  report.applied_by = {own.node};
  report.why = "This node runs alone (no kafka.brokers): commits stay pending until it has brokers.";
  return report;
}

Result<void> Alone::resume(const NodeName&, std::optional<Offset>) {
  return not_found("This node runs alone (no kafka.brokers): it reads no journals.");
}

void Alone::describe(StatusReport& report, const Moment& now) const {
  report.mode = "alone";
  report.format = ledger_.format();
  MemberReport self;
  self.node = ledger_.identity().node;
  self.region = config_.node.region;
  self.address = config_.http.advertise;
  self.incarnation = ledger_.identity().incarnation;
  self.state = "active";
  self.formats = config_.formats;
  self.self = true;
  self.heard_ms = 0;
  report.members.push_back(std::move(self));
  (void)now;
}

MembersReport Alone::members(const Moment& now) const {
  MembersReport report;
  report.node = ledger_.identity().node;
  report.incarnation = ledger_.identity().incarnation;
  report.cluster_id = ledger_.identity().cluster;
  report.active = true;
  StatusReport status;
  describe(status, now);
  report.format = status.format;
  report.members = std::move(status.members);
  return report;
}

}  // namespace refrain::node
