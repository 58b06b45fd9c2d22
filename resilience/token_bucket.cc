// SPDX-License-Identifier: Apache-2.0
#include "resilience/token_bucket.h"

#include <algorithm>

#include "base/result.h"

namespace refrain::resilience {
namespace {

constexpr std::uint64_t kBillion = 1'000'000'000;

std::uint64_t divided_up(std::uint64_t a, std::uint64_t b) {
  return a / b + (a % b != 0);
}

}  // namespace

TokenBucket::TokenBucket(std::uint64_t per_second, std::uint64_t burst)
    : per_second_(per_second), full_(burst * kBillion), level_(full_) {
  REFRAIN_ASSERT(per_second >= 1 && per_second <= kBillion, "a rate is from 1 to a billion");
  REFRAIN_ASSERT(burst >= 1 && burst <= kBillion, "a burst is from 1 to a billion");
}

Nanoseconds TokenBucket::wait(SteadyNs now, std::uint64_t tokens) {
  if (now > filled_at_) {
    // Time beyond what fills the bucket is cut off first: the product could overflow.
    auto needed_ns = divided_up(full_ - level_, per_second_);
    auto passed_ns = std::min(static_cast<std::uint64_t>((now - filled_at_).count()), needed_ns);
    level_ = std::min(full_, level_ + passed_ns * per_second_);
    filled_at_ = now;
  }
  std::uint64_t wanted = std::min(tokens, full_ / kBillion) * kBillion;
  if (wanted <= level_) return Nanoseconds{0};
  return Nanoseconds{static_cast<std::int64_t>(divided_up(wanted - level_, per_second_))};
}

Nanoseconds TokenBucket::take(SteadyNs now, std::uint64_t tokens) {
  Nanoseconds left = wait(now, tokens);
  if (left.count() == 0) level_ -= std::min(tokens, full_ / kBillion) * kBillion;
  return left;
}

}  // namespace refrain::resilience
