// SPDX-License-Identifier: Apache-2.0
// Node's reads: from any thread, straight from the engine.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "node/assembly.h"
#include "replication/codec.h"
#include "store/kv.h"
#include "store/outbox.h"
#include "store/requests_rows.h"
#include "store/snapshot.h"

namespace refrain::node {
namespace {

constexpr std::size_t kScanBytes = 1 << 20;

Error closed() {
  Error error =
      unavailable("store_failed", "The store of this node failed and is opened again by itself. Retry.");
  error.retry_after_ms = 1'000;
  return error;
}

ConflictSide side_of(const store::ConflictVersion& side) {
  return {side.version, side.deleted, side.value, side.truncated};
}

ConflictReport report_of(const store::Conflict& conflict, bool open) {
  return {conflict.id,          conflict.ns, conflict.key, side_of(conflict.winner), side_of(conflict.loser),
          conflict.detected_at, open};
}

}  // namespace

/// Under engine_mutex_. A store that is no member's may be empty, or half a snapshot: no read is true of it.
std::optional<Error> Node::reads_refused() const {
  if (!life_) return closed();
  if (serves_reads_.load()) return std::nullopt;
  std::lock_guard lock(views_mutex_);
  return reads_refused_view_.value_or(closed());
}

WallMs Node::reading_time() const {
  return {std::max(time_ms_.load(std::memory_order_relaxed), world_.clock->wall().value)};
}

Result<std::optional<ReadAnswer>> Node::get(const std::string& ns, const std::string& key) {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  const store::View& view = *life_->engine;
  auto record = store::read_record(view, ns, key);
  if (!record) return record.error();
  if (!*record || !(*record)->visible(reading_time())) return std::optional<ReadAnswer>();
  ReadAnswer answer{std::move((*record)->value), (*record)->version, 0, (*record)->expires_at};
  if (open_conflicts_.load(std::memory_order_relaxed) > 0) {
    auto open = store::ConflictLog::open_for(view, ns, key, answer.version);
    if (!open) return open.error();
    answer.open_conflicts = *open;
  }
  return std::optional(std::move(answer));
}

Result<ScanAnswer> Node::scan(const std::string& ns, const std::string& prefix, const std::string& after,
                              std::size_t limit, bool values) {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  ScanAnswer answer;
  auto page = store::scan(*life_->engine, ns, prefix, after, limit, kScanBytes, reading_time());
  if (!page) return page.error();
  answer.after = std::move(page->after);
  answer.session = seen();
  for (store::KvItem& item : page->items) {
    answer.items.push_back(
        {std::move(item.key), values ? std::move(item.record.value) : "", item.record.version});
  }
  return answer;
}

Result<std::optional<RequestReport>> Node::request(const std::string& ns, const std::string& id,
                                                   std::optional<Sha256> fingerprint) {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  auto row = store::get_request(*life_->engine, ns, id);
  if (!row) return row.error();
  if (!*row) return std::optional<RequestReport>();
  return life_->desk->report(ns, id, **row, fingerprint, reading_time());
}

Result<Page<RequestReport>> Node::requests(const std::string& ns, const std::string& state,
                                           const std::string& after, std::size_t limit) {
  constexpr std::size_t kLookedAtPerPage = 10'000;
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  Page<RequestReport> page;
  std::string position = after;
  for (std::size_t looked_at = 0; looked_at < kLookedAtPerPage;) {
    auto rows = store::list_requests(*life_->engine, ns, position, 500);
    if (!rows) return rows.error();
    if (rows->empty()) return page;
    for (const store::ListedRequest& listed : *rows) {
      ++looked_at;
      position = listed.id;
      auto report = life_->desk->report(ns, listed.id, listed.row, std::nullopt, reading_time());
      if (!report || (!state.empty() && report->state != state)) continue;
      page.items.push_back(std::move(*report));
      if (page.items.size() == limit) {
        page.after = position;
        return page;
      }
    }
  }
  page.after = position;  // a page may be short: going on costs another call, not an endless one
  return page;
}

Result<Page<DuplicateReport>> Node::duplicates(const std::string& ns, const std::string& after, bool all,
                                               std::size_t limit) {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  auto listed = store::list_duplicates(*life_->engine, ns, after, all, limit);
  if (!listed) return listed.error();
  Page<DuplicateReport> page;
  page.after = listed->after;
  for (store::ListedDuplicate& item : listed->items) {
    page.items.push_back({store::format_duplicate_id(item.id), std::move(item.duplicate)});
  }
  return page;
}

Result<Page<ConflictReport>> Node::conflicts(const std::string& ns, const std::string& key, bool only_open,
                                             const std::string& after, std::size_t limit) {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  auto listed = store::ConflictLog::list(*life_->engine, ns, key, after, only_open, limit);
  if (!listed) return listed.error();
  Page<ConflictReport> page;
  page.after = std::move(listed->after);
  for (const store::ListedConflict& item : listed->items) {
    page.items.push_back(report_of(item.conflict, item.open));
  }
  return page;
}

Result<std::optional<ConflictReport>> Node::conflict(const std::string& id) {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  auto found = store::ConflictLog::get(*life_->engine, id);
  if (!found) return found.error();
  if (!*found) return std::optional<ConflictReport>();
  auto open = store::ConflictLog::is_open(*life_->engine, **found);
  if (!open) return open.error();
  return std::optional(report_of(**found, *open));
}

Result<Page<VoidCommit>> Node::void_commits(Incarnation incarnation, Seq after, std::size_t limit) {
  constexpr std::size_t kLookedAtPerPage = 5'000;
  constexpr std::size_t kBytesPerPage = 4 << 20;
  std::shared_lock lock(engine_mutex_);
  if (!life_) return closed();
  auto rows = store::Outbox::read_aside(*life_->engine, incarnation, after, kLookedAtPerPage, kBytesPerPage);
  if (!rows) return rows.error();
  Page<VoidCommit> page;
  CommitId position{config_.node.name, incarnation, after};
  for (const store::AsideRow& row : *rows) {
    position = {config_.node.name, row.incarnation, row.seq};
    page.after = format_commit_id(position);
    auto decoded = replication::decode(row.bytes, config_.node.name, config_.formats.max);
    if (decoded && decoded->commit.tick) continue;
    auto start = store::Outbox::void_start(*life_->engine, row.incarnation);
    if (!start) return start.error();
    VoidCommit found;
    found.readable = decoded.has_value();
    if (decoded) found.commit = std::move(decoded->commit);
    found.commit.node = config_.node.name;
    found.commit.incarnation = row.incarnation;
    found.commit.seq = row.seq;
    if (*start) found.seen_own = (*start)->seen_own;
    page.items.push_back(std::move(found));
    if (page.items.size() == limit) return page;
  }
  if (rows->empty()) page.after.reset();
  return page;
}

Vector Node::applied() {
  std::lock_guard lock(views_mutex_);
  return applied_view_;
}

Vector Node::seen() {
  std::lock_guard lock(views_mutex_);
  return seen_view_;
}

std::vector<Check> Node::checks() {
  std::lock_guard lock(views_mutex_);
  return checks_view_;
}

std::optional<Error> Node::must_end() const {
  std::lock_guard lock(views_mutex_);
  return must_end_view_;
}

}  // namespace refrain::node
