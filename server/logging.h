// SPDX-License-Identifier: Apache-2.0
// What an operator needs to know, one line an event: text or JSON. Never tokens, bodies, keys or
// fingerprints. Any thread. The only file that knows spdlog is logging.cc.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "node/config.h"

namespace refrain::server {

struct LogField {
  std::string_view name;
  std::variant<std::string, std::int64_t, double, bool> value;
};

/// Lines below `level` are dropped. Default: info, text, standard error. `sink` (for tests) gets whole lines
/// instead.
void configure_logging(node::LogLevel level, node::LogFormat format,
                       std::function<void(std::string_view)> sink = {});

/// `event` is a short constant sentence; what changes goes into fields, so that lines can be searched and
/// counted.
void log(node::LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
bool log_enabled(node::LogLevel level);

}  // namespace refrain::server
