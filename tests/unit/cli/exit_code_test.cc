// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.h"

#include <gtest/gtest.h>

namespace refrain::cli {
namespace {

TEST(ExitCode, OfEveryStatusThatANodeGives) {
  for (int good : {200, 201, 202, 304}) EXPECT_EQ(exit_of_status(good), 0) << good;
  EXPECT_EQ(exit_of_status(400), 2);
  EXPECT_EQ(exit_of_status(408), 3);
  for (int refused : {404, 409, 410, 412, 421, 422}) EXPECT_EQ(exit_of_status(refused), 4) << refused;
  for (int failed : {405, 411, 413, 415, 429, 500, 501, 503}) EXPECT_EQ(exit_of_status(failed), 1) << failed;
}

TEST(ExitCode, OfBeginIsZeroForGoOnly) {
  EXPECT_EQ(exit_of_begin(201, "go"), 0);
  EXPECT_EQ(exit_of_begin(200, "replay"), 6);
  EXPECT_EQ(exit_of_begin(409, "in_progress"), 7);
  EXPECT_EQ(exit_of_begin(409, "unknown"), 4);
  EXPECT_EQ(exit_of_begin(422, "mismatch"), 4);
  EXPECT_EQ(exit_of_begin(410, "gone"), 4);
  EXPECT_EQ(exit_of_begin(503, "refused"), 4);
  EXPECT_EQ(exit_of_begin(400, ""), 4);
}

TEST(ExitCode, ASuccessWithoutItsDecisionIsNoGo) {
  // A proxy's own 200 must never let a caller charge.
  EXPECT_EQ(exit_of_begin(200, ""), 4);
  EXPECT_EQ(exit_of_begin(201, ""), 4);
  EXPECT_EQ(exit_of_begin(200, "go"), 4);
}

}  // namespace
}  // namespace refrain::cli
