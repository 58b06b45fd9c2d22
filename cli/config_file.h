// SPDX-License-Identifier: Apache-2.0
// A YAML file as a flat list of settings, each with its place. What they mean is config_load.h's.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace refrain::cli {

/// One thing that was set, and where.
struct Setting {
  std::vector<std::string>
      path;  // {"publish", "retry", "initial"}; a Kafka property is one part: {"kafka", "properties", "a.b"}
  std::string value;  // of a list: joined by commas
  enum class Kind : unsigned char { kScalar, kList, kEmptySection, kNothing } kind = Kind::kScalar;
  std::string where;  // "eu.yaml:12"

  std::string name() const;  // "publish.retry.initial"
};

struct FileSettings {
  std::vector<Setting> settings;
  std::vector<std::string> errors;  // "eu.yaml:12: http.listen: stands here twice"
};

/// `file` is only for messages. A document that is no map of keys, or is no YAML, gives one error with its
/// line.
FileSettings parse_settings(std::string_view yaml, const std::string& file);

/// As parse_settings(); a file that cannot be read gives one error.
FileSettings read_settings(const std::string& file);

}  // namespace refrain::cli
