// SPDX-License-Identifier: Apache-2.0
// What happened in a world, as lines: hashed always (the same seed must give the same hash), printed when
// asked for.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/types.h"

namespace refrain::simulation {

class Trace {
 public:
  explicit Trace(bool print) : print_(print) {}

  void line(SteadyNs now, std::string_view text) {
    add(std::to_string(now.value));
    add(text);
    ++lines_;
    if (print_)
      std::fprintf(stderr, "%12.6f %.*s\n", static_cast<double>(now.value) / 1e9,
                   static_cast<int>(text.size()), text.data());
  }
  std::uint64_t hash() const { return hash_; }
  std::uint64_t lines() const { return lines_; }

 private:
  void add(std::string_view bytes) {  // FNV-1a
    for (char c : bytes) hash_ = (hash_ ^ static_cast<std::uint8_t>(c)) * 0x100000001B3ULL;
    hash_ = (hash_ ^ 0xFF) * 0x100000001B3ULL;
  }

  bool print_;
  std::uint64_t hash_ = 0xCBF29CE484222325ULL;
  std::uint64_t lines_ = 0;
};

}  // namespace refrain::simulation
