// SPDX-License-Identifier: Apache-2.0
#include "server/report_metrics.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace refrain::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

double number(std::uint64_t value) {
  return static_cast<double>(value);
}
double seconds(std::int64_t milliseconds) {
  return static_cast<double>(milliseconds) / 1000;
}

/// One family under way.
class Family {
 public:
  Family(Families& families, std::string name, std::string help, MetricType type = MetricType::Gauge)
      : families_(families) {
    family_.name = std::move(name);
    family_.help = std::move(help);
    family_.type = type;
  }
  ~Family() {
    if (!family_.metric.empty()) families_.push_back(std::move(family_));
  }
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  Family& add(double value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    (family_.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    family_.metric.push_back(std::move(metric));
    return *this;
  }

 private:
  Families& families_;
  MetricFamily family_;
};

void one(Families& to, const char* name, const char* help, double value,
         MetricType type = MetricType::Gauge) {
  Family(to, name, help, type).add(value);
}

/// How many commits share one sync: the sum over the count.
void add_batches(Families& to, const node::StatusReport& r) {
  MetricFamily family;
  family.name = "refrain_batch_commits";
  family.help = "Commits, own and others', that were written in one batch";
  family.type = MetricType::Summary;
  family.metric.emplace_back();
  family.metric.back().summary.sample_count = r.batches;
  family.metric.back().summary.sample_sum = number(r.batch_commits);
  to.push_back(std::move(family));
}

void add_outbox(Families& to, const node::StatusReport& r) {
  one(to, "refrain_outbox_commits", "Own commits that are kept until all members have them",
      number(r.outbox_commits));
  one(to, "refrain_outbox_bytes", "Their bytes", number(r.outbox_bytes));
  one(to, "refrain_outbox_oldest_seconds", "Age of the oldest own commit that is not synced; 0 = none",
      seconds(r.oldest_unsynced_ms));
  Family held(to, "refrain_outbox_held_seconds", "How long a member or joiner has held the outbox");
  if (!r.outbox_holder.empty()) held.add(seconds(r.outbox_held_ms), {{"peer", r.outbox_holder}});
  one(to, "refrain_journal_newest_seq", "Newest commit of the own journal", number(r.newest.value));
  one(to, "refrain_journal_published_seq", "Newest own commit that Kafka acknowledged",
      number(r.published.value));
  one(to, "refrain_journal_synced_seq", "Newest own commit that all members showed as applied",
      number(r.synced.value));
  if (r.stable_time) {
    one(to, "refrain_stable_age_seconds", "How far the time up to which everything is stable lies back",
        seconds(r.now.value - r.stable_time->value));
  }
  if (r.floor_time) {
    one(to, "refrain_floor_age_seconds", "How far the time up to which deleted keys are forgotten lies back",
        seconds(r.now.value - r.floor_time->value));
  }
}

void add_members(Families& to, const node::StatusReport& r) {
  Family state(to, "refrain_member_state", "1 for the state that a member is in");
  Family heard(to, "refrain_member_heard_seconds", "Age of a member's newest tick here");
  Family behind(to, "refrain_member_behind_commits", "Own commits that a member has not shown as applied");
  Family behind_s(to, "refrain_member_behind_seconds", "Age of the oldest of those");
  Family offset(to, "refrain_clock_offset_seconds", "A member's clock against ours; one-way delay included");
  for (const auto& m : r.members) {
    const Labels peer{{"peer", m.node}};
    state.add(1, {{"peer", m.node}, {"state", m.state}});
    if (m.self) continue;
    if (m.heard_ms) heard.add(seconds(*m.heard_ms), peer);
    behind.add(number(m.behind_commits), peer);
    behind_s.add(seconds(m.behind_ms), peer);
    if (m.clock_offset_ms) offset.add(seconds(*m.clock_offset_ms), peer);
  }
}

void add_lag(Families& to, const node::StatusReport& r) {
  Family commits(to, "refrain_lag_commits", "Commits of a journal that a reader has not applied");
  Family time(to, "refrain_lag_seconds", "Age of the oldest of those");
  for (const auto& cell : r.sync.cells) {
    const Labels pair{{"reader", cell.reader}, {"journal", cell.journal}};
    commits.add(number(cell.lag_commits), pair);
    time.add(seconds(cell.lag_ms), pair);
  }
}

void add_parked(Families& to, const node::StatusReport& r) {
  constexpr std::array reasons{"clock_skew",    "corrupt",     "newer_format",
                               "wrong_cluster", "cloned_node", "clock_regressed"};
  Family parked(to, "refrain_parked_journals", "Journals that are not applied, by reason");
  for (const char* reason : reasons) {
    parked.add(number(static_cast<std::uint64_t>(
                   std::ranges::count(r.sync.parked, reason, &node::ParkedReport::reason))),
               {{"reason", reason}});
  }
}

void add_breaker(Families& to, const node::StatusReport& r) {
  one(to, "refrain_kafka_configured", "1 when brokers are configured", r.kafka_configured ? 1 : 0);
  one(to, "refrain_kafka_reachable", "1 when Kafka answers", r.kafka_reachable ? 1 : 0);
  Family breaker(to, "refrain_breaker_state", "1 for the state of the circuit breaker around publishing");
  for (const char* state : {"closed", "open", "half_open"})
    breaker.add(r.breaker.state == state ? 1 : 0, {{"state", state}});
}

void add_requests(Families& to, const node::StatusReport& r) {
  one(to, "refrain_conflicts_open", "Conflicts whose larger version is the key's current one",
      number(r.conflicts_open));
  one(to, "refrain_conflicts_dropped_total", "Conflicts forgotten by age or size",
      number(r.conflicts_dropped), MetricType::Counter);
  Family(to, "refrain_collected_total", "Rows of kv forgotten since the store was opened",
         MetricType::Counter)
      .add(number(r.collected_tombstones), {{"kind", "tombstone"}})
      .add(number(r.collected_expired), {{"kind", "expired"}});
  Family duplicates(to, "refrain_duplicates", "Runs that lost against another run of the same request");
  duplicates.add(number(r.duplicates), {{"certainty", "certain"}});
  duplicates.add(number(r.duplicates_possible), {{"certainty", "possible"}});
  one(to, "refrain_unknown_requests", "Requests of which nobody knows whether they were done",
      number(r.unknown_requests));
  one(to, "refrain_running_requests", "Requests with a claim within its lease", number(r.running_requests));
  one(to, "refrain_request_waiters", "Begins that wait for another run", number(r.waiters));
  one(to, "refrain_void_commits", "Commits kept aside because they are void", number(r.void_commits));
}

void add_node(Families& to, const node::StatusReport& r) {
  Family(to, "refrain_node_info", "1; labels say which node this is")
      .add(1, {{"version", r.version},
               {"cluster", r.cluster},
               {"node", r.node},
               {"region", r.region},
               {"mode", r.mode}});
  one(to, "refrain_disk_free_bytes", "Free where the data directory is", number(r.disk_free_bytes));
  one(to, "refrain_disk_total_bytes", "Size of that file system", number(r.disk_total_bytes));
  Family checks(to, "refrain_check_ok", "1 when a check of /health/ready holds");
  for (const auto& check : r.checks) checks.add(check.ok ? 1 : 0, {{"check", check.name}});
}

std::string metric_name(const std::string& part) {
  std::string out = part;
  std::ranges::replace_if(
      out,
      [](char c) { return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')); },
      '_');
  return out;
}

/// A gauge part may say its label: "batch_commits" or "compaction_pending_bytes".
void add_gauges(Families& to, const char* prefix, const std::vector<std::pair<std::string, double>>& gauges) {
  for (const auto& [part, value] : gauges) {
    const bool total = part.ends_with("_total");
    Family(to, prefix + metric_name(part),
           total ? "Counted by the library below" : "As the library below says",
           total ? MetricType::Counter : MetricType::Gauge)
        .add(value);
  }
}

}  // namespace

void add_gauge(Families& families, const std::string& name, const std::string& help, double value) {
  Family(families, name, help).add(value);
}

void add_report(Families& families, const node::StatusReport& report) {
  add_node(families, report);
  add_batches(families, report);
  add_outbox(families, report);
  add_members(families, report);
  add_lag(families, report);
  add_parked(families, report);
  add_breaker(families, report);
  add_requests(families, report);
  add_gauges(families, "refrain_store_", report.store_gauges);
  add_gauges(families, "refrain_log_", report.log_gauges);
}

}  // namespace refrain::server
