// SPDX-License-Identifier: Apache-2.0
// Node's inspection: what it says of itself.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "node/assembly.h"
#include "replication/codec.h"
#include "store/outbox.h"
#include "store/requests_rows.h"

namespace refrain::node {
namespace {

constexpr Milliseconds kChecksEvery{20};

std::vector<OperationSummary> summaries(const store::Commit& commit) {
  std::vector<OperationSummary> found;
  for (const store::Operation& operation : commit.operations) {
    if (const auto* put = std::get_if<store::Put>(&operation)) found.push_back({"put", put->ns, put->key});
    if (const auto* del = std::get_if<store::Delete>(&operation))
      found.push_back({"delete", del->ns, del->key});
    if (const auto* claim = std::get_if<store::ClaimOp>(&operation))
      found.push_back({"claim", claim->ns, claim->id});
    if (const auto* outcome = std::get_if<store::OutcomeOp>(&operation))
      found.push_back({"outcome", outcome->ns, outcome->id});
    if (const auto* duplicate = std::get_if<store::DuplicateOp>(&operation)) {
      found.push_back({"duplicate", duplicate->duplicate.ns, duplicate->duplicate.id});
    }
    if (std::holds_alternative<store::VoidNotice>(operation)) found.push_back({"void", "", ""});
  }
  return found;
}

Error closed() {
  return unavailable("store_failed", "The store of this node failed and is opened again by itself. Retry.");
}

/// What the kept bytes of an own commit add to its report. False for a tick.
bool add_contents(EventReport& report, const std::string& bytes, const replication::Formats& formats) {
  auto decoded = replication::decode(bytes, report.commit.node, formats.max);
  report.bytes = bytes.size();
  if (!decoded) return true;
  report.at = decoded->commit.hlc.wall();
  report.operations = summaries(decoded->commit);
  return !decoded->commit.tick.has_value();
}

/// The cause first: what refuses before what is only degraded. Who waits for the members log waits because of
/// Kafka.
void name_cause(StatusReport& report) {
  const Check* cause = nullptr;
  for (const Check& check : report.checks) {
    bool better = !cause || (check.blocking && !cause->blocking);
    if (!check.ok && better && (check.blocking || check.name != "disk space")) cause = &check;
  }
  if (!cause) return;
  report.cause = cause->detail;
  bool waits_for_log = cause->code == "joining" || cause->code == "no_founder";
  if (waits_for_log && report.kafka_configured && !report.kafka_reachable) {
    report.cause = fmt::format("Kafka unreachable: {}. {}", report.kafka_reason, cause->detail);
    report.cause_since = report.kafka_since;
  }
}

}  // namespace

std::vector<Check> Node::make_checks(const Moment& now) const {
  std::vector<Check> checks;
  auto add = [&](std::string name, bool ok, bool blocking, std::string code, std::string detail) {
    checks.push_back({std::move(name), ok, blocking, ok ? "" : std::move(code), ok ? "" : std::move(detail)});
  };
  add("serving", !draining_.load(), true, "draining", "The node is shutting down.");
  std::string space =
      fmt::format("{} MiB of {} MiB are free.", disk_.disk_free_bytes >> 20, disk_.disk_total_bytes >> 20);
  add("disk", !disk_full_, true, "disk_full",
      "The disk is full, writes are refused until there is space: " + space);
  if (!disk_full_ && disk_.disk_total_bytes > 0) {
    auto used = 100 - 100 * disk_.disk_free_bytes / disk_.disk_total_bytes;
    std::string held = used < 70 ? "" : outbox_words();
    add("disk space", used < 70, false, "", fmt::format("The disk is {} % full. {}{}", used, space, held));
    add("disk nearly full", used < 85, false, "",
        fmt::format("The disk is {} % full: free space before writes are refused. {}{}", used, space, held));
  }
  const std::optional<Error>& trouble = life_ ? write_trouble_ : store_trouble_;
  add("store", life_ && !trouble, true, "store_failed",
      trouble ? trouble->detail : "The store is being opened.");
  if (!life_) return checks;
  bool can_mint = life_->ledger->clock().can_mint(now.wall);
  add("clock", can_mint, true, "clock_drift",
      "The clock of this machine stepped back: writes wait until it has caught up. Check its time service.");
  life_->replicator->add_checks(checks, now);
  return checks;
}

/// How much of the disk the outbox has, and who keeps it from getting smaller.
std::string Node::outbox_words() const {
  if (!life_ || life_->ledger->outbox().stats().commits == 0) return "";
  const store::Outbox::Stats& outbox = life_->ledger->outbox().stats();
  std::string holder = life_->replicator->outbox_held_by();
  return fmt::format(" The outbox has {} commits and {} MiB{}.", outbox.commits, outbox.bytes >> 20,
                     holder.empty() ? "" : "; held by " + holder);
}

void Node::publish_views(const Moment& now) {
  bool due =
      !checked_at_ || now.steady - *checked_at_ >= kChecksEvery;  // words cost more than a small batch does
  std::vector<Check> checks;
  if (due) {
    checks = make_checks(now);
    checked_at_ = now.steady;
  }
  Vector applied = life_ ? life_->replicator->applied() : Vector{};
  std::optional<Error> end = life_ ? life_->replicator->must_end() : std::nullopt;
  flushed_.store(life_ && life_->replicator->flushed());
  std::optional<Error> reads_refused = life_ ? life_->replicator->reads_refusal() : std::nullopt;
  serves_reads_.store(life_ && !reads_refused);
  time_ms_.store(life_ ? life_->ledger->now().value : now.wall.value, std::memory_order_relaxed);
  if (life_) {
    open_conflicts_.store(life_->ledger->conflicts().stats().open);
    published_.store(life_->ledger->books().published.value);
    active_member_.store(life_->replicator->active());
  }
  std::lock_guard lock(views_mutex_);
  if (life_) seen_view_ = applied_view_ = std::move(applied);
  reads_refused_view_ = std::move(reads_refused);
  if (due) checks_view_ = std::move(checks);
  must_end_view_ = std::move(end);
}

void Node::status(Done<StatusReport> caller) {
  post(std::move(caller), [this](Done<StatusReport> done) { done(status_report()); });
}

StatusReport Node::status_report() {
  StatusReport report;
  report.version = start_.program_version;
  report.cluster = config_.cluster;
  report.node = config_.node.name;
  report.region = config_.node.region;
  report.now = reading_time();
  report.kafka_configured = !config_.alone();
  report.disk_free_bytes = disk_.disk_free_bytes;
  report.disk_total_bytes = disk_.disk_total_bytes;
  report.store_gauges = disk_.gauges;
  report.waiters = acks_.size() + sessions_.size();
  report.checks = make_checks(now_);
  report.mode = "store failed";
  if (life_) {
    const Ledger& ledger = *life_->ledger;
    if (ledger.identity().cluster.value != 0) report.cluster_id = ledger.identity().cluster;
    report.incarnation = ledger.identity().incarnation;
    report.batches = ledger.batch_counts().batches;
    report.batch_commits = ledger.batch_counts().commits;
    report.outbox_commits = ledger.outbox().stats().commits;
    report.outbox_bytes = ledger.outbox().stats().bytes;
    report.newest = ledger.books().newest;
    report.published = ledger.books().published;
    report.synced = ledger.books().synced;
    report.void_commits = store::Outbox::count_aside(*life_->engine).value_or(0);
    describe_cuts(report);
    report.conflicts_open = ledger.conflicts().stats().open;
    report.conflicts_dropped = ledger.conflicts().stats().dropped;
    if (ledger.books().floor.value > 0) report.floor_time = ledger.books().floor.wall();
    report.collected_tombstones = ledger.collector().removed().tombstones;
    report.collected_expired = ledger.collector().removed().expired;
    life_->replicator->describe(report, now_);
    life_->desk->describe(report);
  }
  name_cause(report);
  return report;
}

void Node::change_member(MemberOrder order, Done<MemberChange> caller) {
  post(std::move(caller), [this, order = std::move(order)](Done<MemberChange> done) mutable {
    if (!life_) return done(closed());
    auto taken = life_->replicator->order(std::move(order), now_);
    if (!taken) return done(taken.error());
    SteadyNs deadline = now_.steady + taken->timeout;
    orders_.add(std::move(*taken), deadline, std::move(done));
  });
}

void Node::members(Done<MembersReport> caller) {
  post(std::move(caller), [this](Done<MembersReport> done) {
    if (!life_) return done(closed());
    done(life_->replicator->members(now_));
  });
}

void Node::event(CommitId id, Done<EventReport> caller) {
  post(std::move(caller), [this, id](Done<EventReport> done) {
    if (!life_) return done(closed());
    auto report = life_->replicator->event(id, now_);
    if (!report) return done(report.error());
    if (report->commit.node == config_.node.name &&
        report->commit.incarnation == life_->ledger->identity().incarnation) {
      auto bytes = store::Outbox::get(*life_->engine, report->commit.seq);
      if (!bytes) return done(bytes.error());
      if (*bytes) add_contents(*report, **bytes, config_.formats);
    }
    done(std::move(*report));
  });
}

void Node::events(std::string state, Seq after, std::size_t limit, Done<Page<EventReport>> caller) {
  constexpr std::size_t kLookedAtPerPage = 5'000;
  constexpr std::size_t kBytesPerRead = 4 << 20;
  post(std::move(caller), [this, state = std::move(state), after, limit](Done<Page<EventReport>> done) {
    if (!life_) return done(closed());
    Page<EventReport> page;
    Seq position = after;
    for (std::size_t looked_at = 0; looked_at < kLookedAtPerPage;) {
      auto rows = store::Outbox::read(*life_->engine, position.next(), 500, kBytesPerRead);
      if (!rows) return done(rows.error());
      if (rows->empty()) return done(std::move(page));
      for (const store::OutboxRow& row : *rows) {
        ++looked_at;
        position = row.seq;
        auto report = life_->replicator->event(
            {config_.node.name, life_->ledger->identity().incarnation, row.seq}, now_);
        if (!report) return done(report.error());
        if (!add_contents(*report, row.bytes, config_.formats)) continue;
        if (!state.empty() && report->state != state) continue;
        page.items.push_back(std::move(*report));
        if (page.items.size() == limit) {
          page.after = std::to_string(position.value);
          return done(std::move(page));
        }
      }
    }
    page.after = std::to_string(position.value);
    done(std::move(page));
  });
}

}  // namespace refrain::node
