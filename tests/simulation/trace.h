// SPDX-License-Identifier: Apache-2.0
// What happened in a world, as lines: hashed always (the same seed must give the same hash), printed when
// asked for. And counters of rare branches: they show that the worlds provoke what they are there to provoke.
#pragma once
#include <cstdint>
#include <cstdio>
#include <map>
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

class Branches {
 public:
  void hit(const std::string& name, std::uint64_t times = 1) {
    if (times > 0) counts_[name] += times;
  }
  void add(const Branches& other) {
    for (const auto& [name, times] : other.counts_) hit(name, times);
  }
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

 private:
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace refrain::simulation
