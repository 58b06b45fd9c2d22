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
      {"ack_before_sync", "a write is acknowledged before it is synced"},
      {"group_ack_before_sync", "of several commits in one batch all are acknowledged before it is synced"},
      {"tick_published_unsynced", "a tick goes to Kafka before it is synced"},
      {"clock_from_wall", "after a restart the clock starts from the wall alone"},
      {"observe_without_bound", "a commit from far in the future moves the clock"},
      {"books_not_restored",
       "after a write that failed, what is in memory goes on from what it would have been"},
      {"half_commit", "of another node's commit only the first operation is applied"},
      {"cursor_before_data", "the read cursor is written before the data it stands for, in another batch"},
      {"apply_behind_gap", "a commit is applied although one before it is missing"},
      {"apply_duplicates", "a commit that was applied before is applied again"},
      {"gap_not_flagged", "a node does not say that it lacks a commit"},
      {"ack_with_hole", "an acknowledgement counts for all that was sent before it"},
      {"resend_only_the_failed", "after a failed delivery only that record is sent again"},
      {"outbox_bytes_only_grow", "what leaves the outbox still counts in the bytes that are kept of it"},
      {"drop_when_published", "commits leave the outbox when Kafka has them, not when all members have"},
      {"synced_when_published", "a commit counts as synced when Kafka has it"},
      {"unsynced_counts", "a node counts itself as having what it has not synced"},
      {"stable_without_the_silent", "a member that is far behind does not hold S"},
      {"session_not_awaited", "a read does not wait until the node covers the session"},
      {"condition_ignored", "a conditional write is done whatever version is there"},
      {"arrival_wins", "the version that arrives last wins, not the largest"},
      {"tie_by_arrival", "of two versions of one instant the one that arrives last wins"},
      {"forget_context", "a record does not keep what its loser had seen: false conflicts"},
      {"conflict_by_overwritten", "versions conflict unless one overwrote just the other"},
      {"no_conflict", "a conflict is not recorded"},
      {"delete_forgets", "a delete leaves no tombstone"},
      {"expired_loses", "an expired value gives way to any version"},
      {"floor_ahead_of_stable", "the floor is how far this node's time is, not what all have"},
      {"floor_not_stored", "rows are forgotten, the floor that speaks for them is not written"},
      {"tombstone_dropped_by_time", "what may be forgotten goes by time, whoever lacks it"},
      {"collected_above_floor", "what may be forgotten goes at once"},
      {"collected_before_expiry", "a value that expires goes when all have it"},
      {"rewritten_row_collected", "a row goes although the same batch writes it anew"},
      {"joiner_clock_below_floors", "a new member's clock starts from its wall, not above what it has met"},
      {"word_before_the_end_is_read", "a word about an ended journal is said before that was read to its end",
       true},
      {"word_exceeded", "a member applies more of an ended journal than its word says", true},
      {"joiner_does_not_wait", "a joiner becomes active before all members have read of its join", true},
      {"stable_while_joining", "S moves on while a node joins", true},
      {"own_format_written", "a node writes the newest format that it knows, whoever reads it"},
      {"format_without_joiners", "the cluster's format does not wait for those that join", true},
      {"formats_not_announced", "a node whose program has changed does not say so"},
      {"newer_cluster_entered", "a program runs on in a cluster that writes a format which it does not know"},
      {"end_is_smallest_word", "an ended journal ends at the smallest word, not the largest", true},
      {"active_without_words", "a joiner says no words about ended journals", true},
      {"stable_while_incomplete", "S moves on while an ended journal is not complete", true},
      {"void_applied", "what lies beyond the end of an ended journal is applied", true},
      {"digest_counts_losers", "a version that loses is in the digest"},
      {"restored_clock_from_wall", "a restored cluster's clock is not above what was restored", true},
      {"restore_forgets_requests", "a restored cluster has no requests", true},
      {"digest_misses_delete", "a deleted key stays in the digest"},
      {"digest_keeps_overwritten", "what is overwritten stays in the digest"},
      {"digest_counts_expiring", "a key that expires is in the digest"},
      {"digest_not_restored", "after a write that failed, the digest goes on from what it would have been"},
      {"snapshot_digest_empty", "a joiner's digest begins without what its snapshot brought"},
      {"digest_round_stays", "what batches changed counts again when all of the digest was written"},
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
      {"renew_by_anyone", "any token of a request renews and releases what runs at the node"},
      {"renew_of_superseded", "a claim is renewed or released although a later one took over"},
      {"renew_shortens", "a renewal can make a lease shorter"},
      {"operations_anywhere", "a completion with operations is taken by a node that did not give the token"},
      {"response_never_expires", "a response is replayed after its time"},
      {"session_ignored_by_execute", "execute does not look at what its session has seen"},
      {"resolve_of_running", "an operator's word is taken for what still runs"},
      {"claims_seen_forgotten", "a claim does not name the claims that its node had seen"},
      {"attempts_forgotten", "every go is the first attempt"},
      {"gone_caller_goes", "a caller whose connection is closed is given the go"},
      {"go_before_written", "a go is told before it is on the disk"},
  };
  return bugs;
}

namespace {

#undef REFRAIN_PLANTED
#undef REFRAIN_BRANCH
#define REFRAIN_PLANTED(bug) #bug,
#define REFRAIN_BRANCH(branch)
constexpr std::string_view kInTheProduct[] = {
#include "names.inc"
};

}  // namespace

std::vector<std::string_view> planted_bugs_that_differ() {
  std::vector<std::string_view> differ;
  for (const PlantedBug& bug : planted_bugs()) {
    if (std::ranges::find(kInTheProduct, bug.name) == std::end(kInTheProduct)) differ.push_back(bug.name);
  }
  for (std::string_view name : kInTheProduct) {
    if (std::ranges::find(planted_bugs(), name, &PlantedBug::name) == planted_bugs().end())
      differ.push_back(name);
  }
  return differ;
}

bool plant(std::string_view name) {
  active = {};
  if (name.empty()) return true;
  auto found = std::ranges::find(planted_bugs(), name, &PlantedBug::name);
  if (found == planted_bugs().end()) return false;
  active = found->name;
  return true;
}

bool planted_among_members() {
  auto found = std::ranges::find(planted_bugs(), active, &PlantedBug::name);
  return found != planted_bugs().end() && found->among_members;
}

}  // namespace simulation
}  // namespace refrain
