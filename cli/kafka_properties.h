// SPDX-License-Identifier: Apache-2.0
// kafka.properties go to librdkafka as they are, but for those on which a promise of ours rests. Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace refrain::cli {

/// Why this property may not be set; none = it may.
std::optional<std::string> refused_property(std::string_view name);

/// Its value is never printed.
bool is_secret_property(std::string_view name);

}  // namespace refrain::cli
