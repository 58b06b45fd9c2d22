// SPDX-License-Identifier: Apache-2.0
#include "store/collector.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"

namespace refrain::store {
namespace {

constexpr Milliseconds kAgainAfterError{60'000};
constexpr Milliseconds kHeldAgainAfter{
    10'000};  // a row that its open conflict holds: it may be closed by then

Hlc later(Hlc hlc, Milliseconds by) {
  return Hlc::of(hlc.wall() + by);
}

}  // namespace

std::optional<Hlc> collectable_from(Hlc version, bool deleted, std::optional<WallMs> expires_at) {
  if (deleted) return version;
  if (!expires_at) return std::nullopt;
  if (REFRAIN_PLANTED(collected_before_expiry)) return version;
  constexpr std::int64_t kNoTime = std::int64_t{1} << 47;  // more than the wall part of an hlc can be
  const std::int64_t ends = std::max<std::int64_t>(0, expires_at->value);
  return ends >= kNoTime ? Hlc{std::numeric_limits<std::uint64_t>::max()}
                         : std::max(version, Hlc::of({ends}));
}

Result<void> Collector::look_at(Draft& draft, const ConflictLog& conflicts, Hlc floor, const Cursor& row) {
  if (always_stays(row.value())) return {};
  auto record = decode_kv(row.value());
  auto from =
      record ? collectable_from(record->version.hlc, record->deleted, record->expires_at) : std::nullopt;
  if (!from) return {};
  if (*from > floor) {
    meet(*from);
    return {};
  }
  auto current = draft.get(Family::kKv, row.key());
  if (!current) return current.error();
  // What the running batch changes has been expected when it was written.
  if (*current != row.value() && !REFRAIN_PLANTED(rewritten_row_collected)) return {};
  const std::size_t zero = row.key().find('\0');
  auto open =
      conflicts.is_open_at(draft, row.key().substr(0, zero), row.key().substr(zero + 1), record->version);
  if (!open) return open.error();
  if (*open) {
    REFRAIN_BRANCH(open_conflict_holds_a_row);
    meet(later(floor, kHeldAgainAfter));
    return {};
  }
  draft.remove(Family::kKv, row.key());
  ++(record->deleted ? removing_.tombstones : removing_.expired);
  return {};
}

void Collector::written() {
  if (removing_.tombstones > 0) REFRAIN_BRANCH(tombstone_collected);
  if (removing_.expired > 0) REFRAIN_BRANCH(expired_record_collected);
  removed_.tombstones += removing_.tombstones;
  removed_.expired += removing_.expired;
  removing_ = {};
  meet(std::exchange(fresh_, kNever));
}

void Collector::not_written() {
  fresh_ = kNever;
  if (removing_ == Counts{}) return;
  REFRAIN_BRANCH(collecting_was_not_written);
  start_over();
}

void Collector::start_over() {
  removing_ = {};
  walking_ = false;
  earliest_ = {};
}

std::optional<SteadyNs> Collector::wakes_at(Hlc floor) const {
  return walking_ || floor >= earliest_ ? std::optional(due_) : std::nullopt;
}

Result<void> Collector::step(Draft& draft, const ConflictLog& conflicts, Hlc floor, SteadyNs now) {
  auto wakes = wakes_at(floor);
  if (!wakes || now < *wakes) return {};
  if (!walking_) {
    walking_ = true;
    position_.clear();
    earliest_ = kNever;
  }
  due_ = now + limits_.between_steps;
  auto cursor = draft.view().cursor(Family::kKv);
  cursor->seek(position_);
  std::size_t bytes = 0;
  for (std::size_t rows = 0; cursor->valid() && rows < limits_.rows && bytes < limits_.bytes; ++rows) {
    bytes += cursor->key().size() + cursor->value().size();
    if (auto looked = look_at(draft, conflicts, floor, *cursor); !looked) return give_up(now, looked.error());
    cursor->next();
  }
  walking_ = cursor->valid();
  if (walking_) {
    REFRAIN_BRANCH(collector_goes_on_in_the_next_step);
    position_ = std::string(cursor->key());
    return {};
  }
  if (auto status = cursor->status(); !status) return give_up(now, status.error());
  due_ = now + limits_.between_passes;
  return {};
}

Error Collector::give_up(SteadyNs now, Error error) {
  walking_ = false;
  earliest_ = {};
  due_ = now + kAgainAfterError;
  return error;
}

}  // namespace refrain::store
