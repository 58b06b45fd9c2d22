// SPDX-License-Identifier: Apache-2.0
// The one table of everything that can be set: its name, how its text becomes a value, how it is printed.
// Files, environment, flags, `config show` and the completion all go by it.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/config.h"

namespace refrain::cli {

struct Key {
  std::string path;  // "publish.retry.initial"
  std::string help;
  bool list = false;
  /// None = done; else the end of a sentence that begins with the text: "is not a duration ...".
  std::function<std::optional<std::string>(node::Config&, std::string_view)> set;
  std::function<std::string(const node::Config&)> get;
};

/// Those whose names are known beforehand, in the order of the documentation.
const std::vector<Key>& keys();
const Key* find_key(std::string_view path);

/// Of one request namespace (and of requests.defaults): scope, lease, on_expiry, response_ttl, seen_ttl.
struct RuleKey {
  std::string name;
  std::string help;
  std::function<std::optional<std::string>(node::RequestRules&, std::string_view)> set;
  std::function<std::string(const node::RequestRules&)> get;
};
const std::vector<RuleKey>& rule_keys();

/// "REFRAIN_KAFKA_BROKERS" of "kafka.brokers".
std::string environment_name(std::string_view path);

/// "; did you mean http.listen?" when one of the known paths is near; else empty.
std::string suggestion(std::string_view path);

}  // namespace refrain::cli
