// SPDX-License-Identifier: Apache-2.0
#include "truth.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/coding.h"
#include "base/text.h"
#include "replication/codec.h"
#include "store/kv.h"
#include "store/meta.h"

namespace refrain::crash {
namespace {

/// What a read gave; a store that cannot be read is an answer of its own.
template <class T>
std::optional<T> read(Truth& truth, Result<T> result) {
  if (result) return std::move(*result);
  truth.wrong("the store cannot be read: " + result.error().detail);
  return std::nullopt;
}

std::string readable(std::string row) {
  std::ranges::replace(row, '\0', '/');
  return row;
}

}  // namespace

void Truth::before_write(const store::Batch& batch) {
  for (const store::Batch::Change& change : batch.changes()) {
    if (change.family != store::Family::kOutbox || !change.value) continue;
    auto decoded = replication::decode(*change.value, own_);
    if (!decoded) {
      wrong("an outbox row is no commit: " + decoded.error().detail);
      continue;
    }
    const store::Commit& commit = decoded->commit;
    auto& commits = commits_[commit.incarnation];
    auto before = commits.find(commit.seq);
    if (before != commits.end() && before->second.bytes != *change.value &&
        (before->second.survived || acknowledged_.contains(commit.id())))
      wrong(fmt::format("seq {} is given again though its commit was kept", commit.seq.value));
    if (auto older = commits.lower_bound(commit.seq);
        older != commits.begin() && std::prev(older)->second.commit.hlc >= commit.hlc)
      wrong(fmt::format("seq {} has a version that is not above the one before it", commit.seq.value));
    commits[commit.seq] = {*change.value, commit, false};
  }
}

void Truth::acknowledged(const CommitId& commit, Version version) {
  auto& commits = commits_[commit.incarnation];
  auto found = commits.find(commit.seq);
  if (found == commits.end()) return wrong(format_commit_id(commit) + " was acknowledged and never written");
  if (version.node == own_ && found->second.commit.version() != version)
    wrong(format_commit_id(commit) + " was acknowledged with another version than it was written with");
  acknowledged_.emplace(commit, found->second.commit.version());
}

void Truth::check(const store::View& view) {
  auto applied = read(*this, store::Meta::applied(view));
  auto hlc = read(*this, store::Meta::hlc(view));
  if (!applied || !hlc) return;
  check_own(view, *applied);
  check_rows(view, *applied);
  check_cursor(view, *applied);
  for (const auto& [journal, up_to] : *applied) {
    if (up_to.hlc > *hlc)
      wrong(fmt::format("the stored clock is behind what is applied of {}: a version could be minted twice",
                        journal.node));
  }
}

void Truth::check_own(const store::View& view, const store::AppliedTable& applied) {
  for (auto& [incarnation, commits] : commits_) {
    auto row = applied.find({own_, incarnation});
    Seq newest = row == applied.end() ? Seq{} : row->second.seq;
    for (auto commit = commits.upper_bound(newest); commit != commits.end(); commit = commits.erase(commit)) {
      ++lost_;
      if (acknowledged_.contains(commit->second.commit.id()))
        wrong(fmt::format("{} was acknowledged and is lost: the store is at seq {}",
                          format_commit_id(commit->second.commit.id()), newest.value));
    }
    for (auto& [seq, commit] : commits) commit.survived = true;
    if (newest.value > 0 && (!commits.contains(newest) || commits.at(newest).commit.hlc != row->second.hlc))
      wrong(fmt::format("the applied table names a commit of ours, seq {}, that was never written",
                        newest.value));
    check_outbox(view, newest, commits);
  }
}

void Truth::check_outbox(const store::View& view, Seq newest, const std::map<Seq, Kept>& commits) {
  std::optional<Seq> before;
  auto cursor = view.cursor(store::Family::kOutbox);
  for (cursor->seek(""); cursor->valid(); cursor->next()) {
    Seq seq{Reader(cursor->key()).u64()};
    auto known = commits.find(seq);
    if (known == commits.end() || known->second.bytes != cursor->value())
      wrong(fmt::format("the outbox holds other bytes under seq {} than were written", seq.value));
    if (before && before->next() != seq) wrong(fmt::format("the outbox lacks seq {}", before->next().value));
    before = seq;
  }
  if (auto whole = cursor->status(); !whole) wrong("the outbox cannot be read: " + whole.error().detail);
  auto synced = read(*this, store::Meta::synced(view));
  if (!synced) return;
  if (!before && newest > *synced) wrong(fmt::format("the outbox is empty at seq {}", newest.value));
  if (before && *before != newest)
    wrong(fmt::format("the outbox ends at seq {}, the applied table at {}", before->value, newest.value));
}

void Truth::merge(const store::Commit& commit, Rows& rows) {
  auto take = [&](const std::string& ns, const std::string& key, std::optional<std::string> value) {
    Row& row = rows[store::kv_key(ns, key)];
    if (row.version < commit.version()) row = {commit.version(), std::move(value)};
  };
  for (const store::Operation& operation : commit.operations) {
    if (const auto* put = std::get_if<store::Put>(&operation)) take(put->ns, put->key, put->value);
    if (const auto* del = std::get_if<store::Delete>(&operation)) take(del->ns, del->key, std::nullopt);
  }
}

void Truth::check_rows(const store::View& view, const store::AppliedTable& applied) {
  Rows rows;
  for (const auto& [journal, up_to] : applied) {
    if (journal.node != own_) continue;
    for (const auto& [seq, kept] : commits_[journal.incarnation]) {
      if (seq <= up_to.seq) merge(kept.commit, rows);
    }
  }
  for (const replication::Record& record : broker_.records(topic(peer_))) {
    auto decoded = replication::decode(record.bytes, peer_);
    if (!decoded) continue;
    auto row = applied.find(decoded->commit.journal());
    if (row != applied.end() && decoded->commit.seq <= row->second.seq) merge(decoded->commit, rows);
  }
  auto cursor = view.cursor(store::Family::kKv);
  for (cursor->seek(""); cursor->valid(); cursor->next()) {
    std::string key(cursor->key());
    auto expected = rows.find(key);
    auto record = store::decode_kv(cursor->value());
    if (!record) {
      wrong("the row " + readable(key) + " is damaged");
    } else if (expected == rows.end()) {
      wrong(fmt::format("the row {} is there, of {}, which the applied table does not cover", readable(key),
                        format_version(record->version)));
    } else if (record->version != expected->second.version) {
      wrong(fmt::format("the row {} is of {}, the applied table covers {}", readable(key),
                        format_version(record->version), format_version(expected->second.version)));
    } else if (record->deleted == expected->second.value.has_value() ||
               (!record->deleted && record->value != *expected->second.value)) {
      wrong(fmt::format("the row {} has another value than {} wrote", readable(key),
                        format_version(record->version)));
    }
    if (expected != rows.end()) rows.erase(expected);
  }
  if (auto whole = cursor->status(); !whole) wrong("the rows cannot be read: " + whole.error().detail);
  auto floor = read(*this, store::Meta::floor(view));
  for (const auto& [key, row] :
       rows) {  // tombstones may have been collected, where the floor speaks for them
    if (row.value || !floor || row.version.hlc > *floor)
      wrong(fmt::format("the row {} of {} is applied and not there", readable(key),
                        format_version(row.version)));
  }
}

void Truth::check_cursor(const store::View& view, const store::AppliedTable& applied) {
  auto cursors = read(*this, store::Meta::cursors(view));
  if (!cursors || !cursors->contains(peer_)) return;
  Offset next = cursors->at(peer_).next;
  for (const replication::Record& record : broker_.records(topic(peer_))) {
    if (record.offset >= next) break;
    auto decoded = replication::decode(record.bytes, peer_);
    if (!decoded) continue;
    auto row = applied.find(decoded->commit.journal());
    if (row == applied.end() || row->second.seq < decoded->commit.seq)
      return wrong(fmt::format("the cursor of {} is at {}, its commit {} at {} is not applied", peer_,
                               next.value, decoded->commit.seq.value, record.offset.value));
  }
}

void Truth::check_own_topic() {
  std::map<Incarnation, std::map<Seq, std::string>> published;
  for (const replication::Record& record : broker_.records(topic(own_))) {
    auto decoded = replication::decode(record.bytes, own_);
    if (!decoded) {
      wrong("a record of the own topic is no commit");
      continue;
    }
    const store::Commit& commit = decoded->commit;
    auto [entry, fresh] = published[commit.incarnation].emplace(commit.seq, record.bytes);
    if (!fresh && entry->second != record.bytes)
      wrong(fmt::format("two commits were published as seq {}", commit.seq.value));
    auto known = commits_[commit.incarnation].find(commit.seq);
    if (known == commits_[commit.incarnation].end() || known->second.bytes != record.bytes)
      wrong(fmt::format("seq {} was published and is not what the store has", commit.seq.value));
  }
}

}  // namespace refrain::crash
