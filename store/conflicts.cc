// SPDX-License-Identifier: Apache-2.0
#include "store/conflicts.h"

#include <algorithm>
#include <set>

#include "base/coding.h"
#include "base/hash.h"
#include "base/text.h"
#include "store/kv.h"

namespace refrain::store {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::string_view kDroppedRow = "d";

std::string id_row(std::string_view id) {
  return "i" + std::string(id);
}
std::string time_row(WallMs at, std::string_view id) {
  return Writer().raw("t").u64(static_cast<std::uint64_t>(at.value)).raw(id).take();
}
std::string key_prefix(char kind, std::string_view ns, std::string_view key) {
  return kind + kv_key(ns, key);
}
std::string key_row(std::string_view ns, std::string_view key, std::string_view id) {
  std::string row = key_prefix('k', ns, key);
  row.push_back('\0');
  return row.append(id);
}

/// The current version of a key, and the versions that it has open conflicts with.
struct OpenRow {
  Version current;
  std::vector<Version> losers;
};

Error damaged() {
  return corrupt(
      "A row of the list of conflicts cannot be read. Move the data directory aside and rebuild the node "
      "from its peers.");
}

void write_version(Writer& out, const Version& version) {
  out.u64(version.hlc.value).string(version.node);
}
Version read_version(Reader& in) {
  Hlc hlc{in.u64()};
  return {hlc, std::string(in.string())};
}

std::string encode_open(const OpenRow& row) {
  Writer out;
  out.u8(kFormat);
  write_version(out, row.current);
  out.varint(row.losers.size());
  for (const Version& loser : row.losers) write_version(out, loser);
  return out.take();
}

Result<OpenRow> decode_open(std::string_view bytes) {
  Reader in(bytes);
  OpenRow row;
  bool known = in.u8() == kFormat;
  row.current = read_version(in);
  for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left) row.losers.push_back(read_version(in));
  if (!known || !in.done()) return damaged();
  return row;
}

/// What is open for a key whose current version is `current`.
template <class Source>
Result<OpenRow> read_open(const Source& source, std::string_view ns, std::string_view key,
                          const Version& current) {
  auto bytes = source.get(Family::kConflicts, key_prefix('o', ns, key));
  if (!bytes) return bytes.error();
  OpenRow none{current, {}};
  if (!*bytes) return none;
  auto row = decode_open(**bytes);
  if (!row || row->current == current) return row;
  return none;
}

void write_open(Draft& draft, std::string_view ns, std::string_view key, const OpenRow& row) {
  std::string name = key_prefix('o', ns, key);
  if (row.losers.empty()) {
    draft.remove(Family::kConflicts, name);
  } else {
    draft.put(Family::kConflicts, name, encode_open(row));
  }
}

/// Whether the writer of `record` had seen `version`, or is of the same node and later.
bool had_seen(const KvRecord& record, const Version& version) {
  if (version.node == record.version.node) return version.hlc <= record.version.hlc;
  auto entry = record.ctx.find(version.node);
  Hlc seen = entry == record.ctx.end() ? Hlc{} : entry->second;
  return version.hlc <= std::max(seen, record.floor);
}

void write_side(Writer& out, const ConflictVersion& side) {
  write_version(out, side.version);
  out.u8(side.deleted).u8(side.truncated).string(side.value);
}
ConflictVersion read_side(Reader& in) {
  ConflictVersion side;
  side.version = read_version(in);
  side.deleted = in.u8() != 0;
  side.truncated = in.u8() != 0;
  side.value = std::string(in.string());
  return side;
}

ConflictVersion side_of(const KvRecord& record, std::uint64_t cap) {
  return {record.version, record.deleted, record.value.size() > cap, record.value.substr(0, cap)};
}

constexpr std::size_t kIdSize = 32;

}  // namespace

std::string conflict_id(std::string_view ns, std::string_view key, const Version& a, const Version& b) {
  const auto& [low, high] = std::minmax(a, b);
  return hex_encode(as_bytes(hash128_framed({ns, key, format_version(low), format_version(high)})));
}

std::string encode(const Conflict& conflict) {
  Writer out;
  out.u8(kFormat).string(conflict.id).string(conflict.ns).string(conflict.key);
  out.u64(static_cast<std::uint64_t>(conflict.detected_at.value));
  write_side(out, conflict.winner);
  write_side(out, conflict.loser);
  return out.take();
}

std::optional<Conflict> decode_conflict(std::string_view bytes) {
  Reader in(bytes);
  if (in.u8() != kFormat) return std::nullopt;
  Conflict conflict;
  conflict.id = std::string(in.string());
  conflict.ns = std::string(in.string());
  conflict.key = std::string(in.string());
  conflict.detected_at = {static_cast<std::int64_t>(in.u64())};
  conflict.winner = read_side(in);
  conflict.loser = read_side(in);
  if (!in.done()) return std::nullopt;
  return conflict;
}

Result<void> ConflictLog::load(const View& view) {
  stats_ = {};
  auto cursor = view.cursor(Family::kConflicts);
  for (cursor->seek("i"); cursor->valid() && cursor->key().starts_with("i"); cursor->next()) {
    stats_.kept += 1;
    stats_.bytes += cursor->value().size();
  }
  for (cursor->seek("o"); cursor->valid() && cursor->key().starts_with("o"); cursor->next()) {
    auto row = decode_open(cursor->value());
    if (!row) return row.error();
    stats_.open += row->losers.size();
  }
  if (auto status = cursor->status(); !status) return status;
  auto dropped = view.get(Family::kConflicts, kDroppedRow);
  if (!dropped) return dropped.error();
  if (*dropped) stats_.dropped = Reader(**dropped).u64();
  return {};
}

Result<bool> ConflictLog::merged(Draft& draft, const std::string& ns, const std::string& key,
                                 const KvRecord& incoming, const KvRecord& before, WallMs now) {
  bool conflict = concurrent(incoming, before);
  if (!conflict && stats_.open == 0)
    return false;  // spares a read for every write while there are no conflicts
  if (incoming.version == before.version) return false;
  auto open = read_open(draft, ns, key, before.version);
  if (!open) return open.error();
  bool wins = before.version < incoming.version;
  const KvRecord& winner = wins ? incoming : before;
  const KvRecord& loser = wins ? before : incoming;
  OpenRow after{winner.version, {}};
  bool is_new = false;
  for (const Version& sibling : open->losers) {
    if (sibling != incoming.version && had_seen(incoming, sibling)) continue;
    if (wins) {  // seen by neither: it lost to the new one as well
      auto known = draft.get(Family::kConflicts, id_row(conflict_id(ns, key, sibling, before.version)));
      if (!known) return known.error();
      auto pair = *known ? decode_conflict(**known) : std::nullopt;
      if (!pair) return damaged();
      auto kept = keep(draft, ns, key, side_of(winner, limits_.value_cap_bytes), pair->loser, now);
      if (!kept) return kept;
    }
    after.losers.push_back(sibling);
  }
  if (conflict) {
    auto kept = keep(draft, ns, key, side_of(winner, limits_.value_cap_bytes),
                     side_of(loser, limits_.value_cap_bytes), now);
    if (!kept) return kept;
    is_new = *kept;
    after.losers.push_back(loser.version);
  }
  std::sort(after.losers.begin(), after.losers.end());
  if (open->losers.empty() && after.losers.empty()) return is_new;
  stats_.open += after.losers.size();
  stats_.open -= open->losers.size();
  write_open(draft, ns, key, after);
  return is_new;
}

Result<bool> ConflictLog::keep(Draft& draft, const std::string& ns, const std::string& key,
                               const ConflictVersion& winner, const ConflictVersion& loser, WallMs now) {
  Conflict conflict{conflict_id(ns, key, winner.version, loser.version), ns, key, winner, loser, now};
  auto known = draft.get(Family::kConflicts, id_row(conflict.id));
  if (!known) return known.error();
  if (*known) return false;
  std::string bytes = encode(conflict);
  stats_.kept += 1;
  stats_.bytes += bytes.size();
  draft.put(Family::kConflicts, id_row(conflict.id), std::move(bytes));
  draft.put(Family::kConflicts, time_row(now, conflict.id), "");
  draft.put(Family::kConflicts, key_row(ns, key, conflict.id), "");
  return true;
}

Result<void> ConflictLog::expire(Draft& draft, WallMs now, std::size_t most) {
  auto cursor = draft.view().cursor(Family::kConflicts);
  for (cursor->seek("t"); cursor->valid() && cursor->key().starts_with("t") && most > 0;
       cursor->next(), --most) {
    Reader in(cursor->key().substr(1));
    WallMs at{static_cast<std::int64_t>(in.u64())};
    if (at > now - limits_.max_age && stats_.bytes <= limits_.max_bytes) break;
    std::string id(in.rest());
    auto bytes = draft.get(Family::kConflicts, id_row(id));
    if (!bytes) return bytes.error();
    if (!*bytes) continue;  // dropped already in this draft
    auto conflict = decode_conflict(**bytes);
    if (!conflict) return damaged();
    stats_.kept -= 1;
    stats_.bytes -= (*bytes)->size();
    stats_.dropped += 1;
    draft.remove(Family::kConflicts, cursor->key());
    if (auto forgotten = forget(draft, *conflict); !forgotten) return forgotten;
    draft.put(Family::kConflicts, kDroppedRow, Writer().u64(stats_.dropped).take());
  }
  return cursor->status();
}

Result<void> ConflictLog::forget(Draft& draft, const Conflict& conflict) {
  auto open = read_open(draft, conflict.ns, conflict.key, conflict.winner.version);
  if (!open) return open.error();
  draft.remove(Family::kConflicts, id_row(conflict.id));
  draft.remove(Family::kConflicts, key_row(conflict.ns, conflict.key, conflict.id));
  if (std::erase(open->losers, conflict.loser.version) == 0) return {};
  stats_.open -= 1;
  write_open(draft, conflict.ns, conflict.key, *open);
  return {};
}

Result<std::optional<Conflict>> ConflictLog::get(const View& view, std::string_view id) {
  auto bytes = view.get(Family::kConflicts, id_row(id));
  if (!bytes) return bytes.error();
  if (!*bytes) return std::optional<Conflict>();
  auto conflict = decode_conflict(**bytes);
  if (!conflict) return damaged();
  return conflict;
}

Result<std::uint64_t> ConflictLog::open_for(const View& view, std::string_view ns, std::string_view key,
                                            const Version& current) {
  auto open = read_open(view, ns, key, current);
  if (!open) return open.error();
  return open->losers.size();
}

Result<bool> ConflictLog::is_open(const View& view, const Conflict& conflict) {
  auto open = read_open(view, conflict.ns, conflict.key, conflict.winner.version);
  if (!open) return open.error();
  return std::find(open->losers.begin(), open->losers.end(), conflict.loser.version) != open->losers.end();
}

Result<bool> ConflictLog::is_open_at(const Draft& draft, std::string_view ns, std::string_view key,
                                     const Version& current) const {
  if (stats_.open == 0) return false;
  auto open = read_open(draft, ns, key, current);
  if (!open) return open.error();
  return !open->losers.empty();
}

Result<ConflictPage> ConflictLog::list(const View& view, std::string_view ns, std::string_view key,
                                       std::string_view after, bool only_open, std::size_t limit) {
  constexpr std::size_t kLookedAt = 10'000;
  std::string prefix = ns.empty() ? "i" : key_prefix('k', ns, key);
  if (!ns.empty() && !key.empty()) prefix.push_back('\0');
  std::string position;
  if (!after.empty()) {
    auto row = base64url_decode(after);
    if (!row || !row->starts_with(prefix)) return invalid("invalid", "`after` is not from this list.");
    position = std::move(*row);
  }
  ConflictPage page;
  auto cursor = view.cursor(Family::kConflicts);
  std::size_t looked_at = 0;
  for (cursor->seek(position.empty() ? prefix : position);
       cursor->valid() && cursor->key().starts_with(prefix) && cursor->key().size() > kIdSize;
       cursor->next()) {
    if (cursor->key() == position) continue;
    if (page.items.size() == limit || looked_at++ == kLookedAt) {
      page.after = base64url_encode(position);
      break;
    }
    position = std::string(cursor->key());
    auto conflict = get(view, cursor->key().substr(cursor->key().size() - kIdSize));
    if (!conflict) return conflict.error();
    if (!*conflict) continue;
    auto open = is_open(view, **conflict);
    if (!open) return open.error();
    if (*open || !only_open) page.items.push_back({std::move(**conflict), *open});
  }
  if (auto status = cursor->status(); !status) return status.error();
  return page;
}

}  // namespace refrain::store
