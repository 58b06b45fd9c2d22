// SPDX-License-Identifier: Apache-2.0
// Configuration files and variables. What is accepted can be shown, set again as shown, and is then the same.
#include "cli/config_load.h"
#include "cli/kafka_properties.h"
#include "tests/fuzz/fuzz.h"

namespace refrain::cli {
namespace {

constexpr std::string_view kProperties = "kafka.properties.";

Setting shown(const EffectiveValue& value) {
  Setting setting;
  setting.value = value.value;
  setting.where = "shown";
  std::string_view name = value.name;
  if (name.starts_with(kProperties)) {
    setting.path = {"kafka", "properties", std::string(name.substr(kProperties.size()))};
    return setting;
  }
  for (std::size_t dot = 0; dot != std::string_view::npos;
       name.remove_prefix(std::min(dot + 1, name.size()))) {
    dot = name.find('.');
    setting.path.emplace_back(name.substr(0, dot));
    if (dot == std::string_view::npos) break;
  }
  return setting;
}

void check(const ConfigSources& sources) {
  auto loaded = load_config(sources);
  if (!loaded) return REFRAIN_ASSERT(!loaded.error().empty(), "a refusal says why");
  const auto& limits = loaded->config.limits;
  REFRAIN_ASSERT(limits.value_bytes <= limits.commit_bytes, "limits fit each other");
  REFRAIN_ASSERT(loaded->config.http.host.find('\0') == std::string::npos, "an address is text");
  ConfigSources again;
  for (const auto& value : loaded->values) {
    if (!is_secret_property(value.name)) again.flags.push_back(shown(value));
  }
  auto same = load_config(again);
  REFRAIN_ASSERT(same.has_value(), "what is shown can be set");
  for (const auto& value : loaded->values) {
    if (is_secret_property(value.name)) continue;
    auto found = std::find_if(same->values.begin(), same->values.end(),
                              [&](const auto& other) { return other.name == value.name; });
    REFRAIN_ASSERT(found != same->values.end() && found->value == value.value, "and is then the same");
  }
}

void file(std::string_view text) {
  auto parsed = parse_settings(text, "a.yaml");
  for (const auto& error : parsed.errors)
    REFRAIN_ASSERT(error.starts_with("a.yaml:"), "an error names its place");
  if (!parsed.errors.empty()) return;
  ConfigSources sources;
  sources.flags = std::move(parsed.settings);
  check(sources);
}

/// Lines of NAME=value, as an environment has them; none that names a file to read.
void environment(std::string_view text) {
  ConfigSources sources;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    auto equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    std::string name = "REFRAIN_" + std::string(line.substr(0, equals));
    if (!name.ends_with("_FILE")) sources.environment[name] = line.substr(equals + 1);
  }
  check(sources);
}

}  // namespace
}  // namespace refrain::cli

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  refrain::fuzz::Input in(data, size);
  if (in.u8() % 4 == 0) {
    refrain::cli::environment(in.rest());
  } else {
    refrain::cli::file(in.rest());
  }
  return 0;
}
