// SPDX-License-Identifier: Apache-2.0
#include "cli/config_load.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "cli/config_check.h"
#include "cli/config_keys.h"
#include "cli/config_values.h"
#include "cli/files.h"
#include "cli/kafka_properties.h"
#include "replication/kafka_log.h"

namespace refrain::cli {
namespace {

constexpr std::string_view kPrefix = "REFRAIN_";
constexpr std::string_view kPropertyPrefix = "REFRAIN_KAFKA_PROPERTIES_";
constexpr std::string_view kFileSuffix = "_FILE";
// Not settings of a node: which server the client commands talk to, and where the file is.
constexpr std::array<std::string_view, 2> kOtherVariables = {"REFRAIN_SERVER", "REFRAIN_CONFIG"};

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t dot = 0; dot != std::string_view::npos;
       path = dot == std::string_view::npos ? path : path.substr(dot + 1)) {
    dot = path.find('.');
    parts.emplace_back(path.substr(0, dot));
  }
  return parts;
}

bool is_section(const std::string& name) {
  if (name == "kafka.properties" || name == "limits.rate" || name == "requests.namespaces") return true;
  return std::any_of(keys().begin(), keys().end(),
                     [within = name + "."](const Key& key) { return key.path.starts_with(within); });
}

/// sasl.password of SASL_PASSWORD: no property of librdkafka that may be set has an underscore.
std::string property_of(std::string_view variable) {
  std::string name;
  for (char c : variable)
    name.push_back(c == '_' ? '.' : static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  return name;
}

/// The path that a variable sets; empty when there is none.
std::vector<std::string> path_of_variable(std::string_view variable) {
  for (const Key& key : keys())
    if (environment_name(key.path) == variable) return split_path(key.path);
  if (variable.starts_with(kPropertyPrefix) && variable.size() > kPropertyPrefix.size())
    return {"kafka", "properties", property_of(variable.substr(kPropertyPrefix.size()))};
  return {};
}

/// Editors and `echo` end a file with a line feed; no value does.
tl::expected<std::string, std::string> read_value_file(const std::string& file) {
  auto value = read_file(file);
  while (value && (value->ends_with('\n') || value->ends_with('\r'))) value->pop_back();
  return value;
}

class Loader {
 public:
  explicit Loader(const ConfigSources& sources) : sources_(sources) {}

  tl::expected<LoadedConfig, ConfigErrors> run() {
    if (sources_.file) take_file();
    take_environment();
    for (const Setting& setting : sources_.flags) apply(setting);
    // Last, since a namespace takes what it leaves out from the effective defaults.
    for (const Setting& setting : namespaces_) apply_namespace(setting);
    for (auto& [name, limit] : config_.limits.rate) finish_rate(name, limit);
    if (errors_.empty()) check_config(config_, origins_, errors_);
    if (!errors_.empty()) return tl::unexpected(std::move(errors_));
    auto values = effective_values();
    return LoadedConfig{std::move(config_), std::move(values), std::move(warnings_)};
  }

 private:
  void take_file() {
    auto file = read_settings(*sources_.file);
    errors_ = std::move(file.errors);
    for (const Setting& setting : file.settings) apply(setting);
  }

  void take_environment() {
    for (const auto& [variable, value] : sources_.environment) {
      if (!variable.starts_with(kPrefix)) continue;
      if (std::find(kOtherVariables.begin(), kOtherVariables.end(), variable) != kOtherVariables.end())
        continue;
      take_variable(variable, value);
    }
  }

  void take_variable(const std::string& variable, const std::string& value) {
    // A property may itself end in "file"; none of librdkafka's does, so the suffix is always ours.
    bool from_file = variable.ends_with(kFileSuffix);
    std::string base = from_file ? variable.substr(0, variable.size() - kFileSuffix.size()) : variable;
    auto path = path_of_variable(base);
    if (path.empty()) {
      // Not an error: orchestrators put variables of their own there (REFRAIN_PORT, REFRAIN_SERVICE_HOST).
      warnings_.push_back(fmt::format("{}: this variable sets nothing", variable));
      return;
    }
    if (from_file && sources_.environment.contains(base))
      return fail(variable, fmt::format("{} is set as well", base));
    Setting setting{path, value, Setting::Kind::kScalar, variable};
    if (from_file) {
      auto content = read_value_file(value);
      if (!content) return fail(variable, fmt::format("{} cannot be read: {}", value, content.error()));
      setting.value = *content;
    }
    apply(setting);
  }

  void apply(const Setting& setting) {
    const auto& path = setting.path;
    std::string name = setting.name();
    // Below, C functions would read a text only up to there.
    if (name.find('\0') != std::string::npos || setting.value.find('\0') != std::string::npos)
      return fail(setting.where, fmt::format("{}: holds a NUL character", name.substr(0, name.find('\0'))));
    if (path.size() == 3 && path[0] == "kafka" && path[1] == "properties") return apply_property(setting);
    if (path.size() >= 3 && path[0] == "limits" && path[1] == "rate") return apply_rate(setting);
    if (path.size() >= 3 && path[0] == "requests" && path[1] == "namespaces")
      return namespaces_.push_back(setting);
    if (is_section(name)) {
      if (setting.kind == Setting::Kind::kScalar || setting.kind == Setting::Kind::kList)
        fail(setting.where, name + ": is a section of keys, not a value");
      return;
    }
    const Key* key = find_key(name);
    if (!key) return fail(setting.where, fmt::format("{}: unknown key{}", name, suggestion(name)));
    if (!has_value(setting)) return;
    if (setting.kind == Setting::Kind::kList && !key->list)
      return fail(setting.where, name + ": is one value, not a list");
    if (auto wrong = key->set(config_, setting.value)) return fail_value(setting, *wrong);
    origins_[name] = setting.where;
  }

  void apply_property(const Setting& setting) {
    const std::string& property = setting.path[2];
    if (!has_scalar(setting)) return;
    if (auto why = refused_property(property))
      return fail(setting.where, fmt::format("kafka.properties: {} cannot be set: {}", property, *why));
    if (auto why = replication::refused_by_librdkafka(property, setting.value)) {
      // Its words may hold the value.
      return fail(setting.where,
                  fmt::format("kafka.properties: {}: {}", property,
                              is_secret_property(property) ? "librdkafka does not take it" : *why));
    }
    config_.kafka.properties[property] = setting.value;
    origins_[setting.name()] = setting.where;
  }

  void apply_rate(const Setting& setting) {
    const std::string& ns = setting.path[2];
    if (!valid_namespace(ns)) return fail_namespace(setting, ns);
    std::string part = setting.path.size() == 4 ? setting.path[3] : "";
    if (part != "per_second" && part != "burst")
      return fail(setting.where,
                  setting.name() + ": unknown key; a namespace's rate is {per_second: N, burst: N}");
    if (!has_scalar(setting)) return;
    auto number = parse_count(setting.value, 1, 1'000'000'000);
    if (!number) return fail_value(setting, number.error());
    auto& limit = config_.limits.rate[ns];
    (part == "burst" ? limit.burst : limit.per_second) = *number;
    origins_[setting.name()] = setting.where;
  }

  void finish_rate(const std::string& ns, node::RateLimit& limit) {
    std::string name = "limits.rate." + ns;
    if (limit.per_second == 0)
      return fail(origins_[name + ".burst"], name + ": has a burst but no per_second");
    if (limit.burst == 0) limit.burst = limit.per_second;
  }

  void apply_namespace(const Setting& setting) {
    const std::string& ns = setting.path[2];
    if (!valid_namespace(ns)) return fail_namespace(setting, ns);
    node::RequestRules& rules =
        config_.requests.namespaces.try_emplace(ns, config_.requests.defaults).first->second;
    if (setting.path.size() == 3 &&
        (setting.kind == Setting::Kind::kEmptySection || setting.kind == Setting::Kind::kNothing))
      return;  // named, with nothing of its own
    for (const RuleKey& rule : rule_keys()) {
      if (setting.path.size() != 4 || rule.name != setting.path[3]) continue;
      if (!has_scalar(setting)) return;
      if (auto wrong = rule.set(rules, setting.value)) return fail_value(setting, *wrong);
      origins_[setting.name()] = setting.where;
      return;
    }
    fail(setting.where,
         setting.name() + ": unknown key; a namespace has scope, lease, on_expiry, response_ttl, seen_ttl");
  }

  bool has_value(const Setting& setting) {
    if (setting.kind == Setting::Kind::kScalar || setting.kind == Setting::Kind::kList) return true;
    fail(setting.where, setting.name() + ": has no value");
    return false;
  }

  bool has_scalar(const Setting& setting) {
    if (!has_value(setting)) return false;
    if (setting.kind == Setting::Kind::kScalar) return true;
    fail(setting.where, setting.name() + ": is one value, not a list");
    return false;
  }

  void fail(const std::string& where, const std::string& what) {
    errors_.push_back(fmt::format("{}: {}", where, what));
  }
  void fail_value(const Setting& setting, const std::string& wrong) {
    fail(setting.where, fmt::format("{}: '{}' {}", setting.name(), setting.value, wrong));
  }
  void fail_namespace(const Setting& setting, const std::string& ns) {
    fail(setting.where,
         fmt::format(
             "{}: '{}' is not a namespace (1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit)",
             setting.path[0] + "." + setting.path[1], ns));
  }

  EffectiveValue effective(const std::string& name, std::string value) const {
    auto origin = origins_.find(name);
    return {name, std::move(value), origin == origins_.end() ? "default" : origin->second};
  }

  std::vector<EffectiveValue> effective_values() const {
    std::vector<EffectiveValue> out;
    for (const Key& key : keys()) out.push_back(effective(key.path, key.get(config_)));
    for (const auto& [property, value] : config_.kafka.properties)
      out.push_back(
          effective("kafka.properties." + property, is_secret_property(property) ? "********" : value));
    for (const auto& [ns, limit] : config_.limits.rate) {
      out.push_back(effective("limits.rate." + ns + ".per_second", fmt::to_string(limit.per_second)));
      out.push_back(effective("limits.rate." + ns + ".burst", fmt::to_string(limit.burst)));
    }
    for (const auto& [ns, rules] : config_.requests.namespaces)
      for (const RuleKey& rule : rule_keys())
        out.push_back(inherited("requests.namespaces." + ns + "." + rule.name,
                                "requests.defaults." + rule.name, rule.get(rules)));
    return out;
  }

  /// Where a namespace's own value is missing, the origin is that of the default it took.
  EffectiveValue inherited(const std::string& name, const std::string& parent, std::string value) const {
    if (origins_.contains(name)) return effective(name, std::move(value));
    EffectiveValue out = effective(parent, std::move(value));
    out.name = name;
    return out;
  }

  const ConfigSources& sources_;
  node::Config config_;
  std::vector<Setting> namespaces_;
  std::map<std::string, std::string> origins_;
  ConfigErrors errors_;
  std::vector<std::string> warnings_;
};

}  // namespace

tl::expected<LoadedConfig, ConfigErrors> load_config(const ConfigSources& sources) {
  return Loader(sources).run();
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view text(*entry);
    auto equals = text.find('=');
    if (equals != std::string_view::npos) out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

}  // namespace refrain::cli
