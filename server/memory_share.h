// SPDX-License-Identifier: Apache-2.0
// One connection's part of the memory that all connections together may take. I/O thread only.
#pragma once
#include <cstdint>
#include <string>

namespace refrain::server {

/// Gives the memory back, which `bytes = {}` does not.
inline void free_bytes(std::string& bytes) {
  std::string().swap(bytes);
}

/// Counts bytes for as long as it lives. `held_by_all` outlives it.
class MemoryShare {
 public:
  MemoryShare(std::uint64_t& held_by_all, std::uint64_t most) : held_by_all_(held_by_all), most_(most) {}
  ~MemoryShare() { end(); }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;

  /// False: they do not fit beside what others hold; nothing is counted.
  [[nodiscard]] bool take(std::uint64_t bytes) {
    if (held_by_all_ + bytes > most_) return false;
    take_anyway(bytes);
    return true;
  }
  void take_anyway(std::uint64_t bytes) {
    held_by_all_ += bytes;
    held_ += bytes;
  }
  void give_back(std::uint64_t bytes) {
    held_by_all_ -= bytes;
    held_ -= bytes;
  }
  void end() { give_back(held_); }

 private:
  std::uint64_t& held_by_all_;
  const std::uint64_t most_;
  std::uint64_t held_ = 0;
};

}  // namespace refrain::server
