// SPDX-License-Identifier: Apache-2.0
// A decoder that is wrong on purpose: `./dev fuzz planted_address planted_undefined` must fail, each within
// seconds. Fuzzers that never found anything are no evidence.
#include "tests/fuzz/fuzz.h"

namespace {

/// u8 version | u8 length | so many bytes | u8 sum. The planted address bug trusts the length.
[[gnu::noinline]] int decode(const char* bytes, std::size_t size) {
  if (size < 3 || bytes[0] != 1) return 0;
  const std::size_t length = static_cast<std::uint8_t>(bytes[1]);
#ifndef REFRAIN_PLANTED_ADDRESS
  if (length + 3 != size) return 0;
#endif
  int sum = 0;
#ifdef REFRAIN_PLANTED_UNDEFINED
  sum = length == 7 ? 2'147'483'600 : 0;
#endif
  for (std::size_t i = 0; i < length; ++i) sum += static_cast<std::uint8_t>(bytes[2 + i]);
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string exact(reinterpret_cast<const char*>(data), size);
  volatile int sum = decode(exact.data(), exact.size());
  static_cast<void>(sum);
  return 0;
}
