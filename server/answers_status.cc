// SPDX-License-Identifier: Apache-2.0
// The node's reports as JSON, field by field under the same names.
#include "base/text.h"
#include "server/answers.h"

namespace refrain::server {
namespace {

std::string cluster_hex(const ClusterId& id) {
  return format_hex64(id.value).substr(8);
}

void write_cluster_id(JsonWriter& json, const std::optional<ClusterId>& id) {
  json.key("cluster_id");
  id ? json.value(cluster_hex(*id)) : json.null();
}

void write_cell(JsonWriter& json, const node::SyncCell& cell) {
  json.begin_object();
  json.member("reader", cell.reader).member("journal", cell.journal);
  json.member("incarnation", format_hex64(cell.incarnation.value)).member("applied", cell.applied.value);
  json.member("applied_at", cell.applied_at).member("last_known", cell.last_known.value);
  json.member("lag_commits", cell.lag_commits).member("lag_ms", cell.lag_ms).member("why", cell.why);
  json.end_object();
}

void write_parked(JsonWriter& json, const node::ParkedReport& parked) {
  json.begin_object();
  json.member("journal", parked.journal).member("reason", parked.reason);
  json.member("first_affected", parked.first_affected.value).member("offset", parked.offset);
  json.member("since", parked.since).member("detail", parked.detail).member("help", parked.help);
  json.end_object();
}

void write_breaker(JsonWriter& json, const node::BreakerReport& breaker) {
  json.key("breaker").begin_object();
  json.member("state", breaker.state)
      .member("failures", breaker.failures)
      .member("last_error", breaker.last_error);
  json.member("since", breaker.since).member("next_attempt_ms", breaker.next_attempt_ms).end_object();
}

void write_kafka(JsonWriter& json, const node::StatusReport& s) {
  json.member("kafka_configured", s.kafka_configured).member("kafka_reachable", s.kafka_reachable);
  json.member("kafka_reason", s.kafka_reason).member("kafka_since", s.kafka_since);
  write_breaker(json, s.breaker);
}

void write_outbox(JsonWriter& json, const node::StatusReport& s) {
  json.member("batches", s.batches).member("batch_commits", s.batch_commits);
  json.member("outbox_commits", s.outbox_commits).member("outbox_bytes", s.outbox_bytes);
  json.member("newest", s.newest.value).member("published", s.published.value);
  json.member("synced", s.synced.value).member("stable", s.stable.value).member("stable_time", s.stable_time);
  json.member("floor_time", s.floor_time);
  json.member("oldest_unsynced_ms", s.oldest_unsynced_ms).member("outbox_held_by", s.outbox_held_by);
}

void write_counts(JsonWriter& json, const node::StatusReport& s) {
  json.member("conflicts_open", s.conflicts_open).member("conflicts_dropped", s.conflicts_dropped);
  json.member("collected_tombstones", s.collected_tombstones);
  json.member("collected_expired", s.collected_expired);
  json.member("duplicates", s.duplicates).member("duplicates_possible", s.duplicates_possible);
  json.member("unknown_requests", s.unknown_requests).member("running_requests", s.running_requests);
  json.member("void_commits", s.void_commits).member("waiters", s.waiters);
  json.key("snapshots").begin_array();
  for (const auto& given : s.snapshots) {
    json.begin_object().member("to", given.to).member("rows", given.rows).member("bytes", given.bytes);
    json.member("expected_rows", given.expected_rows).end_object();
  }
  json.end_array();
  json.member("disk_free_bytes", s.disk_free_bytes).member("disk_total_bytes", s.disk_total_bytes);
}

void write_healed(JsonWriter& json, const std::vector<node::HealedReport>& healed) {
  json.key("healed").begin_array();
  for (const auto& one : healed)
    json.begin_object()
        .member("at", one.at)
        .member("what", one.what)
        .member("found", one.found)
        .member("done", one.done)
        .end_object();
  json.end_array();
}

void write_list(JsonWriter& json, const std::vector<node::MemberReport>& members) {
  json.key("members").begin_array();
  for (const auto& member : members) write_member(json, member);
  json.end_array();
}

void write_gauges(JsonWriter& json, std::string_view name,
                  const std::vector<std::pair<std::string, double>>& gauges) {
  json.key(name).begin_object();
  for (const auto& [gauge, value] : gauges) json.member(gauge, value);
  json.end_object();
}

}  // namespace

void write_sync(JsonWriter& json, const node::SyncReport& sync) {
  json.key("cells").begin_array();
  for (const auto& cell : sync.cells) write_cell(json, cell);
  json.end_array().key("parked").begin_array();
  for (const auto& parked : sync.parked) write_parked(json, parked);
  json.end_array();
}

void write_status(JsonWriter& json, const node::StatusReport& s) {
  json.begin_object();
  json.member("version", s.version).member("cluster", s.cluster);
  write_cluster_id(json, s.cluster_id);
  json.member("node", s.node)
      .member("region", s.region)
      .member("incarnation", format_hex64(s.incarnation.value));
  json.member("mode", s.mode)
      .member("cause", s.cause)
      .member("cause_since", s.cause_since)
      .member("now", s.now)
      .member("format", s.format);
  write_kafka(json, s);
  write_list(json, s.members);
  json.key("sync").begin_object();
  write_sync(json, s.sync);
  json.end_object();
  write_healed(json, s.healed);
  write_outbox(json, s);
  write_counts(json, s);
  write_checks(json.key("checks"), s.checks);
  write_gauges(json, "store_gauges", s.store_gauges);
  write_gauges(json, "log_gauges", s.log_gauges);
  json.end_object();
}

void write_members(JsonWriter& json, const node::MembersReport& m) {
  json.begin_object();
  json.member("node", m.node).member("incarnation", format_hex64(m.incarnation.value));
  write_cluster_id(json, m.cluster_id);
  json.member("n", m.n).member("hash", m.hash).member("format", m.format).member("active", m.active);
  json.member("waits_for_agreement", m.waits_for_agreement);
  json.key("waits_for").begin_array();
  for (Incarnation incarnation : m.waits_for) json.value(format_hex64(incarnation.value));
  json.end_array();
  write_list(json, m.members);
  json.key("log").begin_array();
  for (const auto& entry : m.log) {
    json.begin_object()
        .member("n", entry.n)
        .member("hash", entry.hash)
        .bytes("json", entry.json)
        .end_object();
  }
  json.end_array().end_object();
}

}  // namespace refrain::server
