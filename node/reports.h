// SPDX-License-Identifier: Apache-2.0
// What a node says of itself and of the cluster, as plain structs: the routes /v1/status, /v1/members,
// /v1/sync, /v1/events and /metrics print them, field by field under the same names. Ages and lags are in
// milliseconds; an age that is not known is absent.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "replication/formats.h"

namespace refrain::node {

/// One thing that must hold. `blocking` = the node refuses kv work while it fails (ready is 503); else
/// degraded.
struct Check {
  std::string name;  // "kafka", "journal eu", "clock", "disk", "membership", "store"
  bool ok = true;
  bool blocking = false;
  std::string code;    // the code of api.md that calls get while it fails: "joining", "disk_full", ... empty
                       // when degraded
  std::string detail;  // why, since when, what to do
};

struct MemberReport {
  NodeName node;
  std::string region;
  std::string address;
  Incarnation incarnation;
  std::string state;  // "active", "joining", "over"
  bool self = false;
  std::optional<std::int64_t> heard_ms;  // age of its newest tick here; own: 0
  std::int64_t silent_ms = 0;            // the same, or since this node started when none came
  std::uint64_t behind_commits = 0;      // of ours that its newest tick does not show
  std::int64_t behind_ms = 0;            // how old the oldest of those is
  std::uint64_t we_lack_commits = 0;     // of its journal, of what we know to exist
  std::int64_t we_lack_ms = 0;
  std::optional<std::int64_t>
      clock_offset_ms;           // its newest hlc against our wall when it came; one-way delay included
  replication::Formats formats;  // of its program, as announced
  std::string note;  // "joining: catching up, waits for us", "silent since ...", "config_mismatch", ...
};

/// One journal as one reader has it. Readers other than this node are as their newest tick says.
struct SyncCell {
  NodeName reader;
  NodeName journal;
  Incarnation incarnation;
  Seq applied;
  WallMs applied_at;  // wall part of the hlc applied up to
  Seq last_known;     // newest that anybody is known to have
  std::uint64_t lag_commits = 0;
  std::int64_t lag_ms = 0;
  std::string why;  // empty when nothing is wrong
};

struct ParkedReport {
  NodeName journal;
  std::string reason;  // clock_skew, corrupt, newer_format, wrong_cluster, cloned_node, clock_regressed
  Seq first_affected;
  std::optional<std::int64_t> offset;
  WallMs since;
  std::string detail;
  std::string help;  // the command that helps
};

/// What the node mended by itself, since the process started. Four texts for people.
struct HealedReport {
  WallMs at;
  std::string what;   // "journal us", "own journal", "members log", "this node"
  std::string found;  // "the topic was made anew"
  std::string done;   // "read again from the log's start"
};

struct SyncReport {
  std::vector<SyncCell> cells;
  std::vector<ParkedReport> parked;
};

struct BreakerReport {
  std::string state = "closed";  // closed, open, half_open
  std::uint32_t failures = 0;
  std::string last_error;
  std::optional<WallMs> since;
  std::optional<std::int64_t> next_attempt_ms;
};

/// A snapshot that this node gives to a joiner.
struct SnapshotReport {
  std::string to;  // who takes it, as it calls itself
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t expected_rows = 0;  // about; 0 = not known
};

struct StatusReport {
  std::string version;  // of the program
  std::string cluster;
  std::optional<ClusterId> cluster_id;
  NodeName node;
  std::string region;
  Incarnation incarnation;
  std::string mode;   // "alone", "active", "waiting for founder", "joining", "fenced", "rolled back", ...
  std::string cause;  // the cause first: empty when all is well
  std::optional<WallMs> cause_since;
  WallMs now;                // the node's time
  std::uint32_t format = 1;  // of what this node writes to Kafka: the newest that all members read

  bool kafka_configured = false;
  bool kafka_reachable = false;
  std::string kafka_reason;
  std::optional<WallMs> kafka_since;
  BreakerReport breaker;

  std::vector<MemberReport> members;
  SyncReport sync;
  std::vector<HealedReport> healed;  // the newest ones, oldest first

  std::uint64_t batches = 0;        // written since the store was opened
  std::uint64_t batch_commits = 0;  // in them, own and others'
  std::uint64_t outbox_commits = 0;
  std::uint64_t outbox_bytes = 0;
  Seq newest;  // own journal
  Seq published;
  Seq synced;
  Seq stable;
  std::optional<WallMs> stable_time;  // wall part of S
  std::optional<WallMs> floor_time;   // of the floor: what may be forgotten lies at or below it
  std::int64_t oldest_unsynced_ms =
      0;                       // age of the oldest own commit with operations that is not synced; 0 = none
  std::string outbox_held_by;  // who holds it and since when; empty when nobody does
  NodeName outbox_holder;      // the same in parts
  std::int64_t outbox_held_ms = 0;

  std::uint64_t conflicts_open = 0;
  std::uint64_t conflicts_dropped = 0;     // forgotten by age or size
  std::uint64_t collected_tombstones = 0;  // rows of kv forgotten since the store was opened
  std::uint64_t collected_expired = 0;
  std::uint64_t duplicates = 0;  // certain ones
  std::uint64_t duplicates_possible = 0;
  std::uint64_t unknown_requests = 0;
  std::uint64_t running_requests = 0;
  std::uint64_t void_commits = 0;         // kept aside
  std::vector<SnapshotReport> snapshots;  // being given
  std::uint64_t waiters = 0;
  std::uint64_t disk_free_bytes = 0;
  std::uint64_t disk_total_bytes = 0;

  std::vector<Check> checks;
  std::vector<std::pair<std::string, double>>
      store_gauges;  // RocksDB's and librdkafka's, by metric name part
  std::vector<std::pair<std::string, double>> log_gauges;
};

struct MembersLogEntry {
  std::uint64_t n = 0;
  std::string hash;  // hex
  std::string json;  // the record as written
};

struct MembersReport {
  NodeName node;  // who answers
  Incarnation incarnation;
  std::optional<ClusterId> cluster_id;
  std::uint64_t n = 0;
  std::string hash;                    // hex, of entry n
  std::uint32_t format = 1;            // as in StatusReport
  bool active = false;                 // this node is an active member
  std::vector<Incarnation> waits_for;  // whom, then
  bool waits_for_agreement =
      false;  // it has seen the members log lost or cut and waits until all show the same
  std::vector<MemberReport> members;
  std::vector<MembersLogEntry> log;
};

struct OperationSummary {
  std::string kind;  // put, delete, claim, outcome, duplicate, void
  std::string ns;
  std::string key;  // or request id
};

struct EventReport {
  CommitId commit;
  std::string state;  // pending, published, applied, synced, stable, failed, void
  // Of a commit whose bytes are not kept here (any more) neither is known, and no operation.
  std::optional<WallMs> at;
  std::optional<std::uint64_t> bytes;
  std::vector<OperationSummary> operations;
  std::vector<NodeName> applied_by;
  std::vector<NodeName> waiting_for;
  std::string why;  // of each that has it not: what stands in the way, and what to do; empty when synced
  std::string last_error;
};

}  // namespace refrain::node
