// SPDX-License-Identifier: Apache-2.0
// Rare branches: how often each was reached. Those of the product are counted where REFRAIN_BRANCH stands,
// for the whole process; those of the worlds by World::hit. One thread.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace refrain::simulation {

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

/// Those of the product, since the process began, as "product: name".
Branches product_branches();

/// What a run of many worlds must have reached and has not: every branch named in the product, every fault,
/// and what only faults bring about.
std::vector<std::string> never_reached(const Branches& branches);

}  // namespace refrain::simulation
