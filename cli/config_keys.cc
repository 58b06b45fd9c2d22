// SPDX-License-Identifier: Apache-2.0
#include "cli/config_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/text.h"
#include "cli/config_values.h"

namespace refrain::cli {
namespace {

using node::Config;
using node::kDay;
using node::kGiB;
using node::kHour;
using node::kKiB;
using node::kMiB;
using node::kSecond;

constexpr Milliseconds kMs{1};
constexpr Milliseconds kMinute{60'000};
constexpr Milliseconds kCentury = 36'500 * kDay;

/// Puts a parsed value where it belongs, or passes on what is wrong with it.
template <class T, class Field>
std::optional<std::string> store(const Parsed<T>& value, Field& field) {
  if (!value) return value.error();
  field = static_cast<Field>(*value);
  return std::nullopt;
}

// Each maker takes `field`, a generic function that gives the field's place in a Config, const or not.
template <class Field>
Key span(std::string path, Field field, Milliseconds least, Milliseconds most, std::string help) {
  return {std::move(path), std::move(help), false,
          [=](Config& c, std::string_view t) { return store(parse_span(t, least, most), field(c)); },
          [=](const Config& c) { return format_duration(field(c)); }};
}

template <class Field>
Key size(std::string path, Field field, std::uint64_t least, std::uint64_t most, std::string help) {
  return {std::move(path), std::move(help), false,
          [=](Config& c, std::string_view t) { return store(parse_size(t, least, most), field(c)); },
          [=](const Config& c) { return format_size(field(c)); }};
}

template <class Field>
Key count(std::string path, Field field, std::uint64_t least, std::uint64_t most, std::string help) {
  return {std::move(path), std::move(help), false,
          [=](Config& c, std::string_view t) { return store(parse_count(t, least, most), field(c)); },
          [=](const Config& c) { return fmt::to_string(field(c)); }};
}

template <class Field>
Key flag(std::string path, Field field, std::string help) {
  return {std::move(path), std::move(help), false,
          [=](Config& c, std::string_view t) { return store(parse_bool(t), field(c)); },
          [=](const Config& c) { return std::string(field(c) ? "true" : "false"); }};
}

/// `wrong` says what is wrong with a text that `good` refuses.
template <class Field>
Key text(std::string path, Field field, bool (*good)(std::string_view), const char* wrong, std::string help) {
  return {std::move(path), std::move(help), false,
          [=](Config& c, std::string_view t) -> std::optional<std::string> {
            if (!good(t)) return wrong;
            field(c) = std::string(t);
            return std::nullopt;
          },
          [=](const Config& c) { return field(c); }};
}

template <class Enum>
using Words = std::vector<std::pair<const char*, Enum>>;

template <class Enum>
Parsed<Enum> parse_word(std::string_view text, const Words<Enum>& words) {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : words) {
    if (text == name) return value;
    names.emplace_back(name);
  }
  return tl::unexpected(fmt::format("is none of {}", fmt::join(names, ", ")));
}

template <class Enum>
std::string format_word(Enum value, const Words<Enum>& words) {
  for (const auto& [name, known] : words)
    if (known == value) return name;
  return {};
}

template <class Enum, class Field>
Key word(std::string path, Field field, Words<Enum> words, std::string help) {
  return {std::move(path), std::move(help), false,
          [=](Config& c, std::string_view t) { return store(parse_word(t, words), field(c)); },
          [=](const Config& c) { return format_word(field(c), words); }};
}

constexpr const char* kNameRule = "is not a name (1 to 32 of a-z, 0-9 and -, not beginning with -)";
constexpr const char* kNodeNameRule =
    "is not a node name (1 to 32 of a-z, 0-9 and -, not beginning with -; not local, log, all or claims)";

bool valid_label(std::string_view text) {
  bool printable =
      std::none_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; });
  return text.size() <= 64 && printable && valid_utf8(text);
}

bool valid_path(std::string_view text) {
  return !text.empty() && text.find('\0') == std::string_view::npos;
}

Key listen_key() {
  return {"http.listen", "IP address and port; another than loopback needs http.insecure", false,
          [](Config& c, std::string_view t) -> std::optional<std::string> {
            auto listen = parse_listen(t);
            if (!listen) return listen.error();
            c.http.host = listen->host;
            c.http.port = listen->port;
            return std::nullopt;
          },
          [](const Config& c) { return format_listen(c.http.host, c.http.port); }};
}

Key advertise_key() {
  return {"http.advertise",
          "URL under which the other nodes reach this one (default: http:// and http.listen)", false,
          [](Config& c, std::string_view t) -> std::optional<std::string> {
            if (t.empty()) return c.http.advertise.clear(), std::nullopt;
            return store(parse_url(t), c.http.advertise);
          },
          [](const Config& c) { return c.http.advertise; }};
}

Key brokers_key() {
  return {"kafka.brokers", "Kafka brokers, host:port; none = this node runs alone", true,
          [](Config& c, std::string_view t) -> std::optional<std::string> {
            auto list = parse_list(t);
            if (!list) return list.error();
            for (const std::string& item : *list)
              if (auto broker = parse_broker(item); !broker) return broker.error();
            c.kafka.brokers = *list;
            return std::nullopt;
          },
          [](const Config& c) { return fmt::format("{}", fmt::join(c.kafka.brokers, ",")); }};
}

const Words<node::OnExpiry>& expiry_words() {
  static const Words<node::OnExpiry> kWords = {{"retry", node::OnExpiry::kRetry},
                                               {"hold", node::OnExpiry::kHold}};
  return kWords;
}

template <class Field>
RuleKey rule_span(std::string name, Field field, std::string help) {
  return {std::move(name), std::move(help),
          [=](node::RequestRules& r, std::string_view t) {
            return store(parse_span(t, kMs, kCentury), field(r));
          },
          [=](const node::RequestRules& r) { return format_duration(field(r)); }};
}

std::vector<RuleKey> make_rule_keys() {
  using node::RequestRules;
  return {
      {"scope", "who may say go: local, home:NODE, global",
       [](RequestRules& r, std::string_view t) { return store(parse_scope(t), r.scope); },
       [](const RequestRules& r) { return format_scope(r.scope); }},
      rule_span(
          "lease", [](auto& r) -> auto& { return r.lease; }, "how long a go holds without a renew"),
      {"on_expiry", "what a lapsed lease means: retry = the next begin goes, hold = unknown until resolved",
       [](RequestRules& r, std::string_view t) { return store(parse_word(t, expiry_words()), r.on_expiry); },
       [](const RequestRules& r) { return format_word(r.on_expiry, expiry_words()); }},
      rule_span(
          "response_ttl", [](auto& r) -> auto& { return r.response_ttl; }, "how long a response is kept"),
      rule_span(
          "seen_ttl", [](auto& r) -> auto& { return r.seen_ttl; }, "how long an id is known"),
  };
}

Key default_rule(const RuleKey& rule) {
  return {"requests.defaults." + rule.name, rule.help, false,
          [set = rule.set](Config& c, std::string_view t) { return set(c.requests.defaults, t); },
          [get = rule.get](const Config& c) { return get(c.requests.defaults); }};
}

// clang-format off
std::vector<Key> make_keys() {
  std::vector<Key> all = {
      text("cluster", [](auto& c) -> auto& { return c.cluster; }, valid_cluster_name, kNameRule, "name of the cluster, part of its topics' names"),
      text("node.name", [](auto& c) -> auto& { return c.node.name; }, valid_node_name, kNodeNameRule, "name of this node, unique in the cluster"),
      text("node.region", [](auto& c) -> auto& { return c.node.region; }, valid_label, "is not a label (up to 64 printable bytes)", "a label"),
      text("node.data_dir", [](auto& c) -> auto& { return c.node.data_dir; }, valid_path, "is not a path", "directory of everything this node keeps"),
      listen_key(),
      advertise_key(),
      flag("http.insecure", [](auto& c) -> auto& { return c.http.insecure; }, "listen beyond loopback although there is neither TLS nor authentication"),
      count("http.max_connections", [](auto& c) -> auto& { return c.http.max_connections; }, 1, 1'000'000, "open connections at most"),
      count("http.max_waiters", [](auto& c) -> auto& { return c.http.max_waiters; }, 1, 1'000'000, "calls that wait at once at most"),
      span("http.idle_timeout", [](auto& c) -> auto& { return c.http.idle_timeout; }, 100 * kMs, kDay, "a silent connection is closed after this"),
      span("http.request_timeout", [](auto& c) -> auto& { return c.http.request_timeout; }, 100 * kMs, kHour, "an answer takes at most this, unless the caller asked to wait"),
      span("http.shutdown_timeout", [](auto& c) -> auto& { return c.http.shutdown_timeout; }, 100 * kMs, kHour, "for answers under way at SIGTERM"),
      brokers_key(),
      count("kafka.replication_factor", [](auto& c) -> auto& { return c.kafka.replication_factor; }, 1, 32'767, "of the topics this node makes"),
      count("kafka.min_insync_replicas", [](auto& c) -> auto& { return c.kafka.min_insync_replicas; }, 1, 32'767, "of the topics this node makes"),
      span("kafka.retention", [](auto& c) -> auto& { return c.kafka.retention; }, kMinute, kCentury, "of the journals this node makes"),
      count("publish.window", [](auto& c) -> auto& { return c.publish.window; }, 1, 100'000, "commits in flight to Kafka at most"),
      span("publish.attempt_timeout", [](auto& c) -> auto& { return c.publish.attempt_timeout; }, 100 * kMs, kHour, "an attempt without a delivery report fails after this"),
      span("publish.retry.initial", [](auto& c) -> auto& { return c.publish.retry.initial; }, kMs, kHour, "longest pause after the first failure; doubles"),
      span("publish.retry.max", [](auto& c) -> auto& { return c.publish.retry.max; }, kMs, kHour, "longest pause of all"),
      count("publish.breaker.failures", [](auto& c) -> auto& { return c.publish.breaker.failures; }, 1, 1'000'000, "failures in a row that open the breaker"),
      span("publish.breaker.open_for", [](auto& c) -> auto& { return c.publish.breaker.open_for; }, kMs, kDay, "how long it stays open"),
      span("clock.max_drift", [](auto& c) -> auto& { return c.clock.max_drift; }, kMs, kHour, "how far a clock may be ahead of this machine's"),
      size("limits.key", [](auto& c) -> auto& { return c.limits.key_bytes; }, 1, kKiB, "longest key"),
      size("limits.value", [](auto& c) -> auto& { return c.limits.value_bytes; }, 1, 900 * kKiB, "largest value"),
      size("limits.commit", [](auto& c) -> auto& { return c.limits.commit_bytes; }, 1, 900 * kKiB, "largest commit (Kafka's own limit is 1MiB)"),
      size("limits.response", [](auto& c) -> auto& { return c.limits.response_bytes; }, 1, 900 * kKiB, "largest response that is kept"),
      span("limits.max_lease", [](auto& c) -> auto& { return c.limits.max_lease; }, kMs, kDay, "longest lease"),
      count("limits.queued_commits", [](auto& c) -> auto& { return c.limits.queued_commits; }, 1, 1'000'000, "calls that wait for the node's thread at most; more get 503"),
      span("conflicts.max_age", [](auto& c) -> auto& { return c.conflicts.max_age; }, kMs, kCentury, "conflicts are listed for this long"),
      size("conflicts.max_bytes", [](auto& c) -> auto& { return c.conflicts.max_bytes; }, kKiB, 1024 * kGiB, "the list takes at most this"),
      size("conflicts.value_cap", [](auto& c) -> auto& { return c.conflicts.value_cap_bytes; }, 0, 900 * kKiB, "of each value at most this is kept"),
      size("store.cache", [](auto& c) -> auto& { return c.store.cache_bytes; }, kMiB, 16'384 * kGiB, "RocksDB block cache"),
      size("store.write_buffer", [](auto& c) -> auto& { return c.store.write_buffer_bytes; }, kMiB, 64 * kGiB, "RocksDB write buffer"),
      size("store.max_total_wal_size", [](auto& c) -> auto& { return c.store.max_total_wal_bytes; }, kMiB, 1024 * kGiB, "bounds the time that opening takes after a crash"),
      span("store.open_timeout", [](auto& c) -> auto& { return c.store.open_timeout; }, kSecond, kDay, "opening that takes longer ends the program"),
      size("store.snapshot_rate", [](auto& c) -> auto& { return c.store.snapshot_bytes_per_second; }, kKiB, 1024 * kGiB, "bytes a second of a snapshot for a joining node"),
      word<node::LogLevel>("log.level", [](auto& c) -> auto& { return c.log.level; },
                           {{"debug", node::LogLevel::kDebug}, {"info", node::LogLevel::kInfo}, {"warn", node::LogLevel::kWarn}, {"error", node::LogLevel::kError}},
                           "debug, info, warn or error"),
      word<node::LogFormat>("log.format", [](auto& c) -> auto& { return c.log.format; }, {{"text", node::LogFormat::kText}, {"json", node::LogFormat::kJson}}, "text or json"),
  };
  for (const RuleKey& rule : rule_keys()) all.push_back(default_rule(rule));
  return all;
}
// clang-format on

/// Levenshtein's distance.
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

}  // namespace

const std::vector<RuleKey>& rule_keys() {
  static const std::vector<RuleKey> kKeys = make_rule_keys();
  return kKeys;
}

const std::vector<Key>& keys() {
  static const std::vector<Key> kKeys = make_keys();
  return kKeys;
}

const Key* find_key(std::string_view path) {
  auto found = std::find_if(keys().begin(), keys().end(), [&](const Key& key) { return key.path == path; });
  return found == keys().end() ? nullptr : &*found;
}

std::string environment_name(std::string_view path) {
  std::string name = "REFRAIN_";
  for (char c : path)
    name.push_back(c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  return name;
}

std::string suggestion(std::string_view path) {
  const Key* nearest = nullptr;
  std::size_t least = 4;  // more than three slips are no slip
  for (const Key& key : keys()) {
    const std::size_t longer = std::max(path.size(), key.path.size());
    if (longer - std::min(path.size(), key.path.size()) >= least)
      continue;  // it takes so many edits at least
    std::size_t edits = edits_between(path, key.path);
    if (edits < least) {
      least = edits;
      nearest = &key;
    }
  }
  return nearest ? "; did you mean " + nearest->path + "?" : "";
}

}  // namespace refrain::cli
