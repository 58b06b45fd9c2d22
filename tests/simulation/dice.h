// SPDX-License-Identifier: Apache-2.0
// Chance from a seed: splitmix64 (Steele, Lea, Flood, 2014). Parts of a world draw from streams of their own,
// by name, so that a new part does not change what the others draw.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace refrain::simulation {

class Dice final : public Random {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() override {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
  }
  bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1p-53 < probability; }

  /// A stream of its own; the same for the same name.
  Dice stream(std::string_view name) const {
    std::uint64_t hash = state_ ^ 0xCBF29CE484222325ULL;
    for (char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001B3ULL;
    return Dice(hash);
  }

 private:
  std::uint64_t state_;
};

}  // namespace refrain::simulation
