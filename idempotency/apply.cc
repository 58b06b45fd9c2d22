// SPDX-License-Identifier: Apache-2.0
#include "idempotency/apply.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "idempotency/requests.h"
#include "idempotency/row.h"

namespace refrain::idempotency {
namespace {

using store::Draft;
using store::RequestRow;

/// The row that news meets: empty when there is none or it was over by then.
Result<RequestRow> row_for(Draft& draft, const std::string& ns, const std::string& id, WallMs at) {
  auto row = store::get_request(std::as_const(draft), ns, id);
  if (!row) return row.error();
  if (!*row) return RequestRow{};
  if (!is_over(**row, at)) return std::move(**row);
  REFRAIN_BRANCH(row_was_over);
  if ((*row)->outcome) store::remove_response(draft, ns, id, (*row)->outcome->version);
  store::mark_open(draft, ns, id, false);
  return RequestRow{};
}

Result<NewDuplicates> keep(Draft& draft, const Found& found) {
  NewDuplicates added;
  for (const store::Duplicate& duplicate : found) {
    auto is_new = store::put_duplicate(draft, duplicate);
    if (!is_new) return is_new.error();
    if (*is_new) (duplicate.possible ? added.possible : added.certain) += 1;
  }
  return added;
}

Result<NewDuplicates> write(Draft& draft, const std::string& ns, const std::string& id, const RequestRow& row,
                            bool was_open, const Found& found) {
  store::put_request(draft, ns, id, row);
  bool open = has_open_claim(row);
  if (open || was_open) store::mark_open(draft, ns, id, open);
  return keep(draft, found);
}

void put_response(Draft& draft, const store::OutcomeOp& op, const Version& version) {
  const store::Outcome& outcome = op.outcome;
  if (outcome.too_large) return;
  store::put_response(draft, op.ns, op.id, version,
                      {outcome.status, outcome.content_type, outcome.response_until, outcome.body});
}

bool still_binds(const RequestRow& row, WallMs now) {
  return std::ranges::any_of(row.claims, [&](const auto& entry) {
    auto end = claim_end(entry.second);
    return is_open(row, entry.first, entry.second) && (!end || now < *end);
  });
}

}  // namespace

Result<NewDuplicates> apply(Draft& draft, const store::ClaimOp& op, const store::Commit& commit) {
  auto row = row_for(draft, op.ns, op.id, commit.hlc.wall());
  if (!row) return row.error();
  store::ClaimOp news = op;
  news.node = commit.node;  // whoever a damaged record names: a node writes only its own claim
  bool was_open = has_open_claim(*row);
  Found found;
  join_claim(*row, news, found);
  if (news.claim.released && REFRAIN_PLANTED(release_deletes_row)) *row = {};
  return write(draft, op.ns, op.id, *row, was_open, found);
}

Result<NewDuplicates> apply(Draft& draft, const store::OutcomeOp& op, const store::Commit& commit) {
  auto row = row_for(draft, op.ns, op.id, commit.hlc.wall());
  if (!row) return row.error();
  std::optional<Version> before;
  if (row->outcome) before = row->outcome->version;
  bool was_open = has_open_claim(*row);
  Found found;
  bool won = join_outcome(*row, op, commit.version(), commit.id(), found);
  if (won && before) store::remove_response(draft, op.ns, op.id, *before);
  if (won) put_response(draft, op, commit.version());
  return write(draft, op.ns, op.id, *row, was_open, found);
}

Result<NewDuplicates> apply(Draft& draft, const store::DuplicateOp& op, const store::Commit&) {
  return keep(draft, {op.duplicate});
}

Result<bool> is_known(const Draft& draft, const store::Duplicate& duplicate) {
  auto known = store::get_duplicate(draft, store::duplicate_id(duplicate));
  if (!known) return known.error();
  return known->has_value();
}

Result<store::ResponseRow> read_response(const Draft& draft, const std::string& ns, const std::string& id,
                                         const Version& version) {
  auto response = store::get_response(draft, ns, id, version);
  if (!response) return response.error();
  if (!*response) return response_gone();
  return std::move(**response);
}

Result<bool> sweep_mark(Draft& draft, const store::RequestId& request, WallMs now) {
  auto row = store::get_request(std::as_const(draft), request.ns, request.id);
  if (!row) return row.error();
  if (*row && !is_over(**row, now) && still_binds(**row, now)) return false;
  store::mark_open(draft, request.ns, request.id, false);
  return true;
}

}  // namespace refrain::idempotency
