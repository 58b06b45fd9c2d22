// SPDX-License-Identifier: Apache-2.0
#include "store/engine.h"

#include <array>

namespace refrain::store {

std::string_view family_name(Family family) {
  static constexpr std::array<std::string_view, kFamilies> kNames = {
      "default", "kv", "requests", "open", "responses", "outbox", "conflicts", "duplicates", "aside"};
  return kNames[static_cast<std::size_t>(family)];
}

std::optional<Family> family_of(std::string_view name) {
  for (std::size_t i = 0; i < kFamilies; ++i) {
    if (family_name(static_cast<Family>(i)) == name) return static_cast<Family>(i);
  }
  return std::nullopt;
}

}  // namespace refrain::store
