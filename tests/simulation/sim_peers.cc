// SPDX-License-Identifier: Apache-2.0
#include "sim_peers.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "machine.h"

namespace refrain::simulation {
namespace {

Error nobody() {
  return unavailable("timed_out", "The peer did not answer.");
}

replication::PeerMembers answer_of(const node::MembersReport& report) {
  replication::PeerMembers answer;
  answer.cluster = report.cluster_id.value_or(ClusterId{});
  for (const node::MemberReport& member : report.members) {
    answer.silent[member.incarnation] = Milliseconds{member.silent_ms};
    if (!member.self) continue;
    answer.node = member.node;
    answer.incarnation = member.incarnation;
  }
  answer.active = report.active;
  answer.waits_for_agreement = report.waits_for_agreement;
  answer.waits_for = report.waits_for;
  for (const node::MembersLogEntry& entry : report.log) {
    Sha256 hash{};
    std::string bytes = hex_decode(entry.hash).value_or("");
    std::memcpy(hash.data(), bytes.data(), std::min(bytes.size(), hash.size()));
    answer.hashes.push_back(hash);
  }
  return answer;
}

class MembersCall final : public replication::Pending<replication::PeerMembers> {
 public:
  MembersCall(const SteadyNs& now, SteadyNs due, SteadyNs given_up, Machine* machine)
      : now_(now), due_(due), given_up_(given_up) {
    if (machine == nullptr) return;
    machine->node().members([answer = answer_](Result<node::MembersReport> report) {
      if (report) *answer = answer_of(*report);
    });
  }
  std::optional<Result<replication::PeerMembers>> take() override {
    if (taken_ || now_ < due_) return std::nullopt;
    if (!*answer_ && now_ < given_up_) return std::nullopt;
    taken_ = true;
    if (!*answer_) return Result<replication::PeerMembers>(nobody());
    return Result<replication::PeerMembers>(**answer_);
  }

 private:
  const SteadyNs& now_;
  SteadyNs due_;
  SteadyNs given_up_;
  bool taken_ = false;
  std::shared_ptr<std::optional<replication::PeerMembers>> answer_ =
      std::make_shared<std::optional<replication::PeerMembers>>();
};

class SnapshotCall final : public replication::SnapshotStream {
 public:
  SnapshotCall(SimPeers::Reach reach, std::string address)
      : reach_(std::move(reach)), address_(std::move(address)) {}

  Result<State> poll(std::string& block) override {
    Machine* machine = reach_(address_);
    if (machine == nullptr) return nobody();
    if (!source_) {
      auto opened = machine->node().snapshot("a joiner");
      if (!opened) return opened.error();
      source_ = std::move(*opened);
      life_ = machine->life();
    }
    if (machine->life() != life_) return nobody();
    auto state = source_->next(block);
    if (!state) return state.error();
    if (*state == node::SnapshotSource::State::kBlock) return State::kBlock;
    return *state == node::SnapshotSource::State::kWait ? State::kWait : State::kEnd;
  }

 private:
  SimPeers::Reach reach_;
  std::string address_;
  std::unique_ptr<node::SnapshotSource> source_;
  std::uint64_t life_ = 0;
};

}  // namespace

std::unique_ptr<replication::Pending<replication::PeerMembers>> SimPeers::members(
    const std::string& address) {
  return std::make_unique<MembersCall>(now_, later(), now_ + Milliseconds{2'000}, reach_(address));
}

std::unique_ptr<replication::SnapshotStream> SimPeers::snapshot(const std::string& address) {
  return std::make_unique<SnapshotCall>(reach_, address);
}

}  // namespace refrain::simulation
