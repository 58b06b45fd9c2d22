// SPDX-License-Identifier: Apache-2.0
#include "cli/config_check.h"

#include <fmt/format.h>

#include "base/text.h"
#include "cli/config_values.h"

namespace refrain::cli {
namespace {

class Checker {
 public:
  Checker(const node::Config& config, const std::map<std::string, std::string>& origins,
          std::vector<std::string>& errors)
      : config_(config), origins_(origins), errors_(errors) {}

  void run() {
    http();
    kafka();
    publishing();
    limits();
    rules("requests.defaults.", config_.requests.defaults);
    for (const auto& [ns, rules_of_ns] : config_.requests.namespaces)
      rules("requests.namespaces." + ns + ".", rules_of_ns);
  }

 private:
  void http() {
    const auto& http = config_.http;
    std::string listen = format_listen(http.host, http.port);
    if (!is_loopback(http.host) && !http.insecure)
      fail(
          {"http.listen", "http.insecure"},
          fmt::format(
              "'{}' can be reached from other machines, and there is neither TLS nor authentication yet. Say "
              "http.insecure: true if that is meant, or listen on 127.0.0.1.",
              listen));
    if (!config_.alone() && http.advertise.empty() && is_any_address(http.host))
      fail({"http.listen"},
           fmt::format("'{}' is no address that the other nodes could call. Say http.advertise, such as "
                       "http://{}.example:{}.",
                       listen, config_.node.name, http.port));
  }

  void kafka() {
    if (config_.alone()) return;
    for (const char* key : {"cluster", "node.name"})
      if (!origins_.contains(key))
        fail({"kafka.brokers"},
             fmt::format(
                 "a node with brokers needs {} as well: by a default it could meet another cluster's topics.",
                 key));
    if (config_.kafka.min_insync_replicas > config_.kafka.replication_factor)
      fail({"kafka.min_insync_replicas", "kafka.replication_factor"},
           fmt::format("{} is more than kafka.replication_factor ({}): nothing could ever be published.",
                       config_.kafka.min_insync_replicas, config_.kafka.replication_factor));
  }

  void publishing() {
    const auto& retry = config_.publish.retry;
    if (retry.initial > retry.max)
      fail({"publish.retry.initial", "publish.retry.max"},
           fmt::format("{} is longer than publish.retry.max ({}).", format_duration(retry.initial),
                       format_duration(retry.max)));
  }

  void limits() {
    within_commit("limits.value", config_.limits.value_bytes);
    within_commit("limits.response", config_.limits.response_bytes);
  }

  void within_commit(const std::string& key, std::uint64_t bytes) {
    std::uint64_t most = config_.limits.commit_bytes;
    if (bytes > most)
      fail({key, "limits.commit"},
           fmt::format("{} is larger than limits.commit ({}), so it could never be used.", format_size(bytes),
                       format_size(most)));
  }

  void rules(const std::string& at, const node::RequestRules& rules) {
    if (rules.response_ttl > rules.seen_ttl)
      fail({at + "response_ttl", at + "seen_ttl", "requests.defaults.response_ttl",
            "requests.defaults.seen_ttl"},
           fmt::format(
               "{} is longer than seen_ttl ({}): an id must be known for as long as its response is kept.",
               format_duration(rules.response_ttl), format_duration(rules.seen_ttl)));
    if (rules.lease > config_.limits.max_lease)
      fail({at + "lease", "requests.defaults.lease", "limits.max_lease"},
           fmt::format("{} is longer than limits.max_lease ({}).", format_duration(rules.lease),
                       format_duration(config_.limits.max_lease)));
  }

  /// `involved`: the key that is wrong, then those that it does not go with; the place is that of the first
  /// that was set.
  void fail(const std::vector<std::string>& involved, const std::string& what) {
    std::string place;
    for (const std::string& key : involved)
      if (auto origin = origins_.find(key); place.empty() && origin != origins_.end())
        place = origin->second + ": ";
    errors_.push_back(place + involved.front() + ": " + what);
  }

  const node::Config& config_;
  const std::map<std::string, std::string>& origins_;
  std::vector<std::string>& errors_;
};

}  // namespace

void check_config(const node::Config& config, const std::map<std::string, std::string>& origins,
                  std::vector<std::string>& errors) {
  Checker(config, origins, errors).run();
}

}  // namespace refrain::cli
