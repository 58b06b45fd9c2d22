// SPDX-License-Identifier: Apache-2.0
#include "planted.h"

#include <algorithm>

#include "base/planted.h"

namespace refrain {
namespace {
std::string_view active;
}

bool planted(std::string_view bug) {
  return !active.empty() && bug == active;
}

namespace simulation {

const std::vector<PlantedBug>& planted_bugs() {
  static const std::vector<PlantedBug> bugs{
      {"apply_behind_gap", "a commit is applied although one before it is missing"},
      {"ack_with_hole", "an acknowledgement counts for all that was sent before it"},
      {"ack_before_sync", "a write is acknowledged before it is synced"},
      {"arrival_wins", "the version that arrives last wins, not the largest"},
      {"forget_context", "a record does not keep what its loser had seen: false conflicts"},
      {"no_conflict", "a conflict is not recorded"},
      {"clock_from_wall", "after a restart the clock starts from the wall alone"},
      {"drop_when_published", "commits leave the outbox when Kafka has them, not when all members have"},
      // requests
      {"outcome_without_operations", "response and operations are two commits"},
      {"release_deletes_row", "a release takes the row away instead of marking the claim"},
      {"lease_by_local_clock_only", "another node's lease is over by this node's clock alone"},
      {"fingerprint_checked_last", "another payload is noticed only when nothing else is in the way"},
      {"hold_lapses_by_time", "a lapsed lease under hold means absent"},
      {"two_waiters_go", "a go is decided without the gos of the same batch"},
      {"foreign_token_accepted", "a token of another request is taken"},
      {"superseded_accepted", "a token completes although a later claim took over"},
      {"released_accepted", "a token completes although it was released"},
      {"replay_of_other", "a second run completes where another has: another response is replayed"},
      {"first_outcome_stays", "of two outcomes the one that arrives first stays, not the larger version"},
      {"content_not_compared", "the same token with other content counts as repeated"},
      {"second_outcome_unlisted", "two outcomes meet and nobody is told"},
      {"refused_run_unlisted", "a run that is refused because another ran is not listed"},
      {"home_goes_elsewhere", "any node says go in a namespace that has a home"},
      {"go_before_catch_up", "a node says go before it has read what the others had decided"},
      {"session_ignored_by_begin", "begin does not wait for what its session has seen"},
      {"lag_ignored", "begin goes although a member is further behind than the caller allows"},
      {"seen_forgotten_early", "a request is forgotten with its response"},
      {"renew_by_anyone", "any node renews and releases another node's claim"},
      {"renew_of_superseded", "a claim is renewed or released although a later one took over"},
      {"resolve_of_running", "an operator's word is taken for what still runs"},
      {"claims_seen_forgotten", "a claim does not name the claims that its node had seen"},
      {"attempts_forgotten", "every go is the first attempt"},
      {"gone_caller_goes", "a caller whose connection is closed is given the go"},
      {"go_before_written", "a go is told before it is on the disk"},
  };
  return bugs;
}

bool plant(std::string_view name) {
  active = {};
  if (name.empty()) return true;
  auto found = std::ranges::find(planted_bugs(), name, &PlantedBug::name);
  if (found == planted_bugs().end()) return false;
  active = found->name;
  return true;
}

}  // namespace simulation
}  // namespace refrain
