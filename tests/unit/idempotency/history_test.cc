// SPDX-License-Identifier: Apache-2.0
// Random histories of three regions against the oracle of history_world.h.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/idempotency/history_world.h"

namespace refrain::idempotency {
namespace {

/// REFRAIN_SEED=n runs that one alone.
void run_worlds(const Mode& mode, std::uint64_t seeds, const std::vector<std::string>& must_happen) {
  const char* only = std::getenv("REFRAIN_SEED");
  std::uint64_t from = only ? std::strtoull(only, nullptr, 10) : 0;
  std::map<std::string, int> counts;
  for (std::uint64_t seed = from; seed < (only ? from + 1 : seeds); ++seed) {
    World world(seed, mode);
    std::string wrong = world.run(300);
    ASSERT_EQ(wrong, "") << "mode " << mode.name << ", REFRAIN_SEED=" << seed;
    for (const auto& [what, times] : world.counts) counts[what] += times;
  }
  if (only) return;
  for (const std::string& what : must_happen) EXPECT_GT(counts[what], 0) << what << " never happened";
}

TEST(RequestHistories, EveryAnswerIsWhatTheOracleSaysAndEveryDoubleRunIsListed) {
  run_worlds({.name = "retry"}, 3'000,
             {"go", "replay", "request_in_progress", "fingerprint_mismatch", "later go", "executed",
              "double runs", "complete: already_completed", "complete: superseded", "complete: released",
              "complete: completed_differently", "complete: wrong_node"});
}

TEST(RequestHistories, TheEffectsKeptAreThoseOfTheAnswer) {
  run_worlds({.name = "effects", .all_effects = true}, 1'500, {"double runs"});
}

TEST(RequestHistories, UnderHoldNobodyTakesOverUntilAnOperatorOrItsTokenResolvesIt) {
  run_worlds({.name = "hold", .hold = true}, 3'000, {"outcome_unknown", "operator's release", "double runs"});
}

TEST(RequestHistories, AForgottenIdIsBegunAgain) {
  run_worlds({.name = "lives", .short_lives = true}, 2'000, {"response_expired", "later go"});
}

}  // namespace
}  // namespace refrain::idempotency
