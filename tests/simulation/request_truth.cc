// SPDX-License-Identifier: Apache-2.0
#include "request_truth.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "programs.h"
#include "replication/codec.h"
#include "world.h"

namespace refrain::simulation {
namespace {

constexpr std::string_view kEffects{"effects\0", 8};
constexpr Milliseconds kSilentGrace{10'000};

RequestEvent event_of(const store::Commit& commit) {
  RequestEvent event;
  event.commit = commit.id();
  event.hlc = commit.hlc;
  return event;
}

RequestEvent::Kind kind_of(const store::ClaimOp& op, const store::Commit& commit) {
  using Kind = RequestEvent::Kind;
  if (op.claim.by_operator) return Kind::kOperatorRelease;
  if (op.claim.go == commit.hlc) return Kind::kGo;
  return op.claim.released ? Kind::kRelease : Kind::kRenew;
}

RequestEvent::Kind kind_of(const store::OutcomeOp& op, const store::Commit& commit) {
  using Kind = RequestEvent::Kind;
  if (op.outcome.by_operator) return Kind::kResolve;
  return Version{op.outcome.go.go, op.outcome.go.node} == commit.version() ? Kind::kExecute : Kind::kOutcome;
}

}  // namespace

bool is_short_lived(const std::string& row) {
  return row.starts_with("brief");
}

store::Fingerprint kept_part(const Sha256& payload) {
  store::Fingerprint kept{};
  std::copy_n(payload.begin(), kept.size(), kept.begin());
  return kept;
}

bool Had::has(const CommitId& id) const {
  Journal journal{id.node, id.incarnation};
  if (journal == own) return id.seq <= own_up_to;
  auto found = applied.find(journal);
  return found != applied.end() && id.seq <= found->second.seq;
}

WallMs Had::heard(const NodeName& node) const {
  WallMs heard{0};
  for (const auto& [journal, upto] : applied) {
    if (journal.node == node && !before.contains(journal)) heard = std::max(heard, upto.hlc.wall());
  }
  return heard;
}

bool SeenRow::superseded(const store::GoId& go) const {
  auto found = seen_by_others.find(go.node);
  return found != seen_by_others.end() && found->second >= go.go;
}

bool SeenRow::open(const SeenClaim& claim, WallMs now) const {
  const RequestEvent& given = *claim.given;
  if (claim.released || superseded(given.go)) return false;
  if (outcome != nullptr && given.version() < outcome->version()) return false;
  return given.claim.hold || now < claim.lease_until + given.claim.seen_ttl;
}

std::vector<const SeenClaim*> SeenRow::open_claims(WallMs now) const {
  std::vector<const SeenClaim*> open;
  for (const auto& [node, claim] : claims) {
    if (this->open(claim, now)) open.push_back(&claim);
  }
  return open;
}

SeenRow see(const RequestEvents& events, const Had& had) {
  SeenRow row;
  for (const RequestEvent& event : events) {
    if (!had.has(event.commit)) continue;
    if (event.is_claim()) {
      SeenClaim& claim = row.claims[event.commit.node];
      bool newer = claim.given == nullptr || claim.given->go.go < event.go.go;
      if (newer && event.gives_claim()) claim = {&event, false, WallMs{0}};
      if (claim.given == nullptr || claim.given->go != event.go) continue;
      claim.released = claim.released || event.claim.released;
      claim.lease_until = std::max(claim.lease_until, event.claim.lease_until);
    } else if (event.is_outcome()) {
      row.seen_until = std::max(row.seen_until, event.outcome.seen_until);
      if (row.outcome == nullptr || row.outcome->version() < event.version()) row.outcome = &event;
    }
  }
  std::erase_if(row.claims, [](const auto& entry) { return entry.second.given == nullptr; });
  if (row.outcome != nullptr) row.attempts = row.outcome->outcome.attempt;
  for (const auto& [node, claim] : row.claims) {
    row.attempts = std::max(row.attempts, claim.given->claim.attempt);
    Had theirs{
        claim.given->had, {node, claim.given->commit.incarnation}, claim.given->commit.seq, had.before};
    for (const RequestEvent& event : events) {
      if (!event.gives_claim() || event.commit.node == node || !theirs.has(event.commit)) continue;
      Hlc& seen = row.seen_by_others[event.commit.node];
      seen = std::max(seen, event.go.go);
    }
  }
  return row;
}

Lapsed lapsed(const SeenClaim& claim, const NodeName& here, const Had& had, WallMs now) {
  const NodeName& node = claim.given->commit.node;
  if (node == here) return now >= claim.lease_until ? Lapsed::kYes : Lapsed::kNo;
  if (had.heard(node) >= claim.lease_until) return Lapsed::kYes;
  return now >= claim.lease_until + kSilentGrace ? Lapsed::kMaybe : Lapsed::kNo;
}

// ---- what came to be

RequestTruth::RequestTruth(World& world) : world_(world) {}

void RequestTruth::look(std::size_t index) {
  if (nodes_.size() <= index) nodes_.resize(index + 1);
  Node& node = nodes_[index];
  if (node.life != world_.machine(index).life()) started(index);
  const GhostNode& ghost = world_.ghost().node(index);
  if (node.incarnation != ghost.incarnation) {
    node.incarnation = ghost.incarnation;
    node.newest_taken = {};
    node.before_batch.reset();
  }
  if (ghost.taken.empty()) return;
  const GhostNode::Taken& batch = ghost.taken.back();
  if (batch.commits.empty() || batch.commits.back() == node.newest_taken) return;
  node.newest_taken = batch.commits.back();
  node.before_batch.reset();
  for (const CommitId& id : batch.commits) {
    if (Journal{id.node, id.incarnation} != journal_of(index)) continue;
    if (!node.before_batch) node.before_batch = Seq{id.seq.value - 1};
    take(index, id, batch.applied);
  }
}

void RequestTruth::take(std::size_t, const CommitId& id, const store::AppliedTable& applied) {
  auto found = world_.ghost().commits().find(id);
  if (found == world_.ghost().commits().end() || found->second.says_nothing) return;
  const GhostCommit& commit = found->second;
  bool effects = !commit.writes.empty() && commit.writes.front().row.starts_with(kEffects);
  if (by_version_.contains(commit.version) || (!commit.writes.empty() && !effects)) return;
  auto decoded = replication::decode(commit.bytes, id.node, kNextProgram.max);
  if (!decoded) return;  // the ghost says so
  bool outcome = false;
  for (const store::Operation& operation : decoded->commit.operations) {
    RequestEvent event = event_of(decoded->commit);
    event.had = applied;
    event.writes = commit.writes.size();
    if (const auto* claim = std::get_if<store::ClaimOp>(&operation)) {
      event.kind = kind_of(*claim, decoded->commit);
      event.go = {id.node, claim->claim.go};
      event.claim = claim->claim;
      add(std::move(event), claim->ns, claim->id);
    } else if (const auto* end = std::get_if<store::OutcomeOp>(&operation)) {
      event.kind = kind_of(*end, decoded->commit);
      event.go = end->outcome.go;
      event.outcome = end->outcome;
      outcome = true;
      add(std::move(event), end->ns, end->id);
    } else if (const auto* found_twice = std::get_if<store::DuplicateOp>(&operation)) {
      event.kind = RequestEvent::Kind::kDuplicate;
      event.go = found_twice->duplicate.loser;
      event.duplicate = found_twice->duplicate;
      add(std::move(event), found_twice->duplicate.ns, found_twice->duplicate.id);
    }
  }
  if (effects && !outcome)
    world_.wrong(fmt::format("{} has the effects of a run without its outcome", format_commit_id(id)));
}

void RequestTruth::add(RequestEvent event, const std::string& ns, const std::string& id) {
  std::string row = ns + '\0' + id;
  RequestEvents& events = rows_[row];
  if (std::string wrong = judge(event, row, events, world_.history(), world_.before()); !wrong.empty())
    world_.wrong(fmt::format("{}/{}, {} at {}: {}", ns, id, format_commit_id(event.commit),
                             event.hlc.wall().value, wrong));
  by_version_[event.version()] = {row, events.size()};
  events.push_back(std::move(event));
}

// ---- what a node has

const RequestEvents& RequestTruth::row(const std::string& row) const {
  static const RequestEvents none;
  auto found = rows_.find(row);
  return found == rows_.end() ? none : found->second;
}

const RequestEvent* RequestTruth::find(const Version& version) const {
  auto found = by_version_.find(version);
  if (found == by_version_.end()) return nullptr;
  return &rows_.at(found->second.first)[found->second.second];
}

Journal RequestTruth::journal_of(std::size_t node) const {
  return {world_.machine(node).name(), world_.ghost().node(node).incarnation};
}

std::optional<Incarnation> RequestTruth::giver(const store::GoId& go) const {
  auto id = world_.ghost().minted({go.go, go.node});
  return id ? std::optional(id->incarnation) : std::nullopt;
}

Had RequestTruth::had_now(std::size_t node) const {
  const store::AppliedTable& applied = world_.ghost().node(node).applied;
  Journal own = journal_of(node);
  auto found = applied.find(own);
  return {applied, own, found == applied.end() ? Seq{} : found->second.seq, world_.before()};
}

SeenRow RequestTruth::now_at(std::size_t node, const std::string& row) const {
  return see(this->row(row), had_now(node));
}

SeenRow RequestTruth::before_at(std::size_t node, const std::string& row) const {
  Had had = had_now(node);
  if (nodes_[node].before_batch) had.own_up_to = *nodes_[node].before_batch;
  return see(this->row(row), had);
}

bool RequestTruth::has_event(std::size_t node, const std::string& row,
                             const std::function<bool(const RequestEvent&)>& wanted) const {
  Had had = had_now(node);
  return std::ranges::any_of(
      this->row(row), [&](const RequestEvent& event) { return had.has(event.commit) && wanted(event); });
}

bool RequestTruth::in_newest_batch(std::size_t node, const RequestEvent& event) const {
  const CommitId& newest = nodes_[node].newest_taken;
  bool own = event.commit.node == world_.machine(node).name() &&
             event.commit.incarnation == journal_of(node).incarnation;
  return own && newest.node == event.commit.node && nodes_[node].before_batch &&
         event.commit.seq > *nodes_[node].before_batch;
}

WallMs RequestTruth::least_time(std::size_t node) const {
  WallMs time = world_.machine(node).clock().wall();
  for (const auto& [journal, applied] : world_.ghost().node(node).applied)
    time = std::max(time, applied.hlc.wall());
  return time;
}

// ---- starts

void RequestTruth::started(std::size_t index) {
  nodes_[index].life = world_.machine(index).life();
  nodes_[index].ends_at_start.clear();
  for (std::size_t i = 0; i < world_.machines(); ++i) {
    if (i == index) continue;
    const NodeName& name = world_.machine(i).name();
    while (topics_.size() <= i) topics_.emplace_back(world_.machine(topics_.size()).name());
    topics_[i].look(world_.broker(), world_.topic_of(name));
    for (const auto& [journal, applied] : world_.ghost().node(i).applied) {
      if (journal.node == name) nodes_[index].ends_at_start[journal] = topics_[i].whole(journal.incarnation);
    }
  }
}

std::vector<RequestTruth::Behind> RequestTruth::not_caught_up(std::size_t node) {
  std::vector<Behind> behind;
  if (!world_.topics_whole()) return behind;
  const store::AppliedTable& applied = world_.ghost().node(node).applied;
  for (const auto& [journal, end] : nodes_[node].ends_at_start) {
    auto found = applied.find(journal);
    Seq have = found == applied.end() ? Seq{} : found->second.seq;
    if (have < end) behind.push_back({journal, have, end});
  }
  return behind;
}

void RequestTruth::begin_again() {
  topics_.clear();
}

void RequestTruth::forget_beyond(const Journal& journal, Seq end) {
  auto is_void = [&](const RequestEvent& event) {
    return event.commit.node == journal.node && event.commit.incarnation == journal.incarnation &&
           event.commit.seq > end;
  };
  bool any = false;
  for (auto& [row, events] : rows_) {
    for (const RequestEvent& event : events) {
      if (!is_void(event)) continue;
      any = true;
      world_.hit("decision that became void");
      if (event.kind == RequestEvent::Kind::kDuplicate) listed_in_vain_.emplace(row, event.go);
    }
    std::erase_if(events, is_void);
  }
  if (!any) return;
  by_version_.clear();
  for (const auto& [row, events] : rows_) {
    for (std::size_t i = 0; i < events.size(); ++i) by_version_[events[i].version()] = {row, i};
  }
}

}  // namespace refrain::simulation
