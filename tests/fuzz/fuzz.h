// SPDX-License-Identifier: Apache-2.0
// What the fuzzers share. A target is one function of bytes: whatever they are, it neither crashes nor breaks
// what it asserts with REFRAIN_ASSERT; then the program ends and the fuzzer keeps the bytes.
//
// Targets keep no state that an input could change, so that an input alone repeats what it did.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace refrain::fuzz {

/// Cuts an input into parts. Never fails: what is not there is zero or short, so that every input says
/// something.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : left_(reinterpret_cast<const char*>(data), size) {}
  std::uint8_t u8() {
    auto one = take(1);
    return one.empty() ? 0 : static_cast<std::uint8_t>(one.front());
  }
  std::string_view take(std::size_t bytes) {
    auto taken = left_.substr(0, std::min(bytes, left_.size()));
    left_.remove_prefix(taken.size());
    return taken;
  }
  /// Two bytes of length, then as much of that as there is.
  std::string_view part() {
    std::size_t bytes = u8() * 256U;
    bytes += u8();
    return take(bytes);
  }
  std::string_view rest() { return take(left_.size()); }
  bool empty() const { return left_.empty(); }

 private:
  std::string_view left_;
};

/// Nothing that would end a line of a head, or the head.
inline bool fits_a_header(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c != '\r' && c != '\n' && c != '\0'; });
}

}  // namespace refrain::fuzz
