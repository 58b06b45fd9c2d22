// SPDX-License-Identifier: Apache-2.0
// Everything that can be set, as plain values with their defaults (docs/configuration.md, key by key).
// Whoever fills it in has checked it: cli/config_file.h does so for files, environment and flags. Nothing
// here reads or throws.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/types.h"
#include "idempotency/rules.h"
#include "replication/formats.h"
#include "store/collector.h"

namespace refrain::node {

inline constexpr Milliseconds kSecond{1'000};
inline constexpr Milliseconds kHour{3'600'000};
inline constexpr Milliseconds kDay{86'400'000};
inline constexpr std::uint64_t kKiB = 1ULL << 10;
inline constexpr std::uint64_t kMiB = 1ULL << 20;
inline constexpr std::uint64_t kGiB = 1ULL << 30;

struct NodeSettings {
  NodeName name = "node";
  std::string region;  // a label
  std::string data_dir = "refrain-data";
};

struct HttpSettings {
  std::string host = "127.0.0.1";  // without the brackets of an IPv6 address
  std::uint16_t port = 8080;       // 0 = whichever is free
  std::string advertise;           // URL for the other nodes; empty = http:// and what we listen on
  bool insecure = false;  // allows an address other than loopback: there is no TLS and no authentication yet
  std::uint32_t max_connections = 4096;
  std::uint32_t max_waiters = 1024;
  Milliseconds idle_timeout = 60 * kSecond;
  Milliseconds request_timeout = 30 * kSecond;
  Milliseconds shutdown_timeout = 10 * kSecond;
};

struct KafkaSettings {
  std::vector<std::string> brokers;  // empty = the node runs alone
  int replication_factor = 3;
  int min_insync_replicas = 2;
  Milliseconds retention = 7 * kDay;
  std::map<std::string, std::string> properties;  // for librdkafka; none of those that carry a guarantee
};

struct RetrySettings {
  Milliseconds initial = kSecond;
  Milliseconds max = 10 * kSecond;
};

struct BreakerSettings {
  std::uint32_t failures = 5;
  Milliseconds open_for = 30 * kSecond;
};

struct PublishSettings {
  std::uint32_t window = 10'000;  // commits in flight
  Milliseconds attempt_timeout = 10 * kSecond;
  RetrySettings retry;
  BreakerSettings breaker;
};

struct ClockSettings {
  Milliseconds max_drift{500};
};

struct RateLimit {
  std::uint64_t per_second = 0;
  std::uint64_t burst = 0;
};

struct LimitSettings {
  std::uint64_t key_bytes = kKiB;
  std::uint64_t value_bytes = 512 * kKiB;
  std::uint64_t commit_bytes = 900 * kKiB;
  std::uint64_t response_bytes = 256 * kKiB;
  Milliseconds max_lease = kHour;
  std::uint32_t queued_commits = 8192;
  std::map<std::string, RateLimit> rate;  // by namespace; not listed = not limited
};

struct ConflictSettings {
  Milliseconds max_age = 30 * kDay;
  std::uint64_t max_bytes = kGiB;
  std::uint64_t value_cap_bytes = 64 * kKiB;
};

// Rules of request namespaces stand where they are decided on.
using idempotency::format_scope;
using idempotency::OnExpiry;
using idempotency::RequestRules;
using idempotency::Scope;

struct RequestSettings {
  RequestRules defaults;
  std::map<std::string, RequestRules>
      namespaces;  // whole rules: what a namespace leaves out is already the default

  const RequestRules& of(const std::string& ns) const {
    auto found = namespaces.find(ns);
    return found == namespaces.end() ? defaults : found->second;
  }
};

/// What members announce to each other: equal exactly when every namespace has the same rules on both.
/// SHA-256, framed, over the defaults and then, by name, each namespace that differs from them.
Sha256 rules_hash(const RequestSettings& requests);

struct StoreSettings {
  std::uint64_t cache_bytes = 512 * kMiB;
  std::uint64_t write_buffer_bytes = 64 * kMiB;
  std::uint64_t max_total_wal_bytes = 128 * kMiB;
  Milliseconds open_timeout = 60 * kSecond;
  std::uint64_t snapshot_bytes_per_second = 100 * kMiB;
};

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

struct LogSettings {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
};

struct Config {
  std::string cluster = "refrain";
  NodeSettings node;
  HttpSettings http;
  KafkaSettings kafka;
  PublishSettings publish;
  ClockSettings clock;
  LimitSettings limits;
  ConflictSettings conflicts;
  RequestSettings requests;
  StoreSettings store;
  LogSettings log;
  store::CollectorLimits collector;    // no key: nobody has a reason to set them
  std::uint32_t digest_deltas = 4096;  // of a round (store/digest.h); no setting, worlds have fewer
  replication::Formats formats = replication::kFormats;  // no setting, worlds have nodes of the next program

  bool alone() const { return kafka.brokers.empty(); }
};

}  // namespace refrain::node
