// SPDX-License-Identifier: Apache-2.0
#include "store/kv.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/coding.h"
#include "base/planted.h"

namespace refrain::store {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::uint8_t kDeleted = 1;
constexpr std::uint8_t kExpires = 2;

Hlc seen_of(const Context& ctx, const NodeName& node) {
  auto found = ctx.find(node);
  return found == ctx.end() ? Hlc{} : found->second;
}

void raise(Context& ctx, const NodeName& node, Hlc hlc) {
  Hlc& entry = ctx[node];
  entry = std::max(entry, hlc);
}

Result<std::optional<KvRecord>> decoded(Result<std::optional<std::string>> bytes, std::string_view ns,
                                        std::string_view key) {
  if (!bytes) return bytes.error();
  if (!*bytes) return std::optional<KvRecord>();
  auto record = decode_kv(**bytes);
  if (!record) return unreadable_kv(ns, key);
  return record;
}

/// The parts of a row, wherever they are.
struct Parts {
  const Version& version;
  Hlc floor;
  const Context& ctx;
  bool deleted;
  std::optional<WallMs> expires_at;
  std::string_view value;
};

std::string encode(const Parts& row) {
  constexpr std::size_t kAllButValue = 96;  // more only with several in the context
  Writer out(kAllButValue + row.value.size());
  out.u8(kFormat).u8(
      static_cast<std::uint8_t>((row.deleted ? kDeleted : 0) | (row.expires_at ? kExpires : 0)));
  out.u64(row.version.hlc.value).string(row.version.node).u64(row.floor.value).varint(row.ctx.size());
  for (const auto& [node, hlc] : row.ctx) out.string(node).u64(hlc.value);
  if (row.expires_at) out.u64(static_cast<std::uint64_t>(row.expires_at->value));
  return out.raw(row.value).take();
}

/// Of floor and context only what `rest` asks for.
std::optional<KvFields> read_fields(std::string_view bytes, KvRecord* rest) {
  Reader in(bytes);
  if (in.u8() != kFormat) return std::nullopt;
  KvFields fields;
  std::uint8_t flags = in.u8();
  if (flags > (kDeleted | kExpires)) return std::nullopt;
  fields.deleted = flags & kDeleted;
  fields.hlc = {in.u64()};
  fields.node = in.string();
  Hlc floor{in.u64()};
  if (rest) rest->floor = floor;
  for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left) {
    std::string_view node = in.string();
    Hlc hlc{in.u64()};
    if (rest) rest->ctx[std::string(node)] = hlc;
  }
  if (flags & kExpires) fields.expires_at = WallMs{static_cast<std::int64_t>(in.u64())};
  fields.value = in.rest();
  if (!in.done()) return std::nullopt;
  return fields;
}

Result<MergeResult> merge_record(Draft& draft, const std::string& ns, const std::string& key,
                                 const Parts& parts, ConflictLog& conflicts, WallMs now, Hlc floor) {
  std::string row = kv_key(ns, key);
  auto current = decoded(draft.get(Family::kKv, row), ns, key);
  if (!current) return current.error();
  if (*current && !(*current)->visible(now) && !(*current)->deleted && REFRAIN_PLANTED(expired_loses))
    current->reset();
  if (!*current) {
    Context ctx = parts.ctx;
    forget_up_to(floor, ctx);
    draft.put(Family::kKv, std::move(row),
              encode(Parts{parts.version, parts.floor, ctx, parts.deleted, parts.expires_at, parts.value}));
    return MergeResult{.won = true};
  }
  KvRecord incoming{parts.version, parts.floor,      parts.ctx,
                    parts.deleted, parts.expires_at, std::string(parts.value)};
  const KvRecord& before = **current;
  MergeResult result;
  auto joined = join(incoming, before);
  if (!joined) return MergeResult{.cloned = true};
  result.won = joined->version == incoming.version;
  if (!result.won) REFRAIN_BRANCH(smaller_version_arrived_late);
  auto conflict = REFRAIN_PLANTED(no_conflict) ? Result<bool>(false)
                                               : conflicts.merged(draft, ns, key, incoming, before, now);
  if (!conflict) return conflict.error();
  result.conflict = *conflict;
  if (joined->deleted && REFRAIN_PLANTED(delete_forgets)) {
    draft.remove(Family::kKv, std::move(row));
    return result;
  }
  if (*joined == before) return result;
  if (std::ranges::any_of(joined->ctx, [&](const auto& seen) { return seen.second <= floor; }))
    REFRAIN_BRANCH(context_forgotten);
  forget_up_to(floor, joined->ctx);
  draft.put(Family::kKv, std::move(row), encode(*joined));
  return result;
}

}  // namespace

std::string kv_key(std::string_view ns, std::string_view key) {
  std::string row;
  row.reserve(ns.size() + 1 + key.size());
  row.append(ns).push_back('\0');
  row.append(key);
  return row;
}

std::pair<std::string_view, std::string_view> split_kv_key(std::string_view row) {
  std::size_t zero = row.find('\0');
  if (zero == std::string_view::npos) return {row, {}};
  return {row.substr(0, zero), row.substr(zero + 1)};
}

std::string encode(const KvRecord& record) {
  return encode(
      Parts{record.version, record.floor, record.ctx, record.deleted, record.expires_at, record.value});
}

std::optional<KvRecord> decode_kv(std::string_view bytes) {
  KvRecord record;
  auto fields = read_fields(bytes, &record);
  if (!fields) return std::nullopt;
  record.deleted = fields->deleted;
  record.version = {fields->hlc, std::string(fields->node)};
  record.expires_at = fields->expires_at;
  record.value = std::string(fields->value);
  return record;
}

bool always_stays(std::string_view bytes) {
  Reader in(bytes);
  return in.u8() == kFormat && in.u8() == 0 && in.ok();
}

std::optional<KvFields> kv_fields(std::string_view bytes) {
  return read_fields(bytes, nullptr);
}

Error unreadable_kv(std::string_view ns, std::string_view key) {
  return corrupt(
      fmt::format("The record of {}/{} cannot be read. Move the data directory aside and rebuild the node "
                  "from its peers.",
                  ns, key));
}

bool concurrent(const KvRecord& e, const KvRecord& c) {
  if (REFRAIN_PLANTED(conflict_by_overwritten))
    return e.version.node != c.version.node && seen_of(e.ctx, c.version.node) != c.version.hlc &&
           seen_of(c.ctx, e.version.node) != e.version.hlc;
  return e.version.node != c.version.node &&
         e.version.hlc > std::max(seen_of(c.ctx, e.version.node), c.floor) &&
         c.version.hlc > std::max(seen_of(e.ctx, c.version.node), e.floor);
}

std::optional<KvRecord> join(const KvRecord& a, const KvRecord& b) {
  if (a.version == b.version &&
      (a.value != b.value || a.deleted != b.deleted || a.expires_at != b.expires_at))
    return std::nullopt;
  bool b_wins = a.version < b.version && !REFRAIN_PLANTED(arrival_wins);
  if (a.version.hlc == b.version.hlc && a.version != b.version) {
    REFRAIN_BRANCH(tie_broken_by_node);
    if (REFRAIN_PLANTED(tie_by_arrival)) b_wins = false;
  }
  const KvRecord& larger = b_wins ? b : a;
  const KvRecord& smaller = b_wins ? a : b;
  KvRecord joined = larger;
  if (REFRAIN_PLANTED(forget_context)) return joined;
  for (const auto& [node, hlc] : smaller.ctx) raise(joined.ctx, node, hlc);
  raise(joined.ctx, smaller.version.node, smaller.version.hlc);
  joined.ctx.erase(joined.version.node);
  return joined;
}

Result<MergeResult> merge(Draft& draft, const Put& put, const Commit& commit, ConflictLog& conflicts,
                          WallMs now, Hlc floor) {
  Version version = commit.version();
  Parts parts{version, commit.floor, put.ctx, false, put.expires_at, put.value};
  return merge_record(draft, put.ns, put.key, parts, conflicts, now, floor);
}

Result<MergeResult> merge(Draft& draft, const Delete& del, const Commit& commit, ConflictLog& conflicts,
                          WallMs now, Hlc floor) {
  Version version = commit.version();
  Parts parts{version, commit.floor, del.ctx, true, std::nullopt, ""};
  return merge_record(draft, del.ns, del.key, parts, conflicts, now, floor);
}

Result<std::optional<KvRecord>> read_record(const Draft& draft, std::string_view ns, std::string_view key) {
  return decoded(draft.get(Family::kKv, kv_key(ns, key)), ns, key);
}

Result<std::optional<KvRecord>> read_record(const View& view, std::string_view ns, std::string_view key) {
  return decoded(view.get(Family::kKv, kv_key(ns, key)), ns, key);
}

Context context_for_write(const std::optional<KvRecord>& current, const NodeName& node) {
  if (!current) return {};
  Context ctx = current->ctx;
  raise(ctx, current->version.node, current->version.hlc);
  ctx.erase(node);
  return ctx;
}

void forget_up_to(Hlc floor, Context& ctx) {
  std::erase_if(ctx, [&](const auto& seen) { return seen.second <= floor; });
}

Result<KvPage> scan(const View& view, std::string_view ns, std::string_view prefix, std::string_view after,
                    std::size_t limit, std::size_t most_bytes, WallMs now) {
  constexpr std::size_t kPassedOver = 10'000;
  KvPage page;
  std::size_t passed_over = 0;
  std::string begin = kv_key(ns, std::max(prefix, after));
  std::string every = kv_key(ns, prefix);
  std::size_t skip = ns.size() + 1;
  std::size_t bytes = 0;
  auto cursor = view.cursor(Family::kKv);
  for (cursor->seek(begin); cursor->valid() && cursor->key().starts_with(every); cursor->next()) {
    std::string_view key = cursor->key().substr(skip);
    if (!after.empty() && key <= after) continue;
    auto record = decode_kv(cursor->value());
    if (!record) return unreadable_kv(ns, key);
    if (!record->visible(now)) {
      if (++passed_over < kPassedOver) continue;
      page.after = std::string(key);
      break;
    }
    const std::size_t size = key.size() + record->value.size();
    // One item is always given, however large: a page must get on.
    if (page.items.size() == limit || (!page.items.empty() && bytes + size > most_bytes)) {
      page.after = page.items.empty() ? std::string(after) : page.items.back().key;
      break;
    }
    bytes += size;
    page.items.push_back({std::string(key), std::move(*record)});
  }
  if (auto status = cursor->status(); !status) return status.error();
  return page;
}

}  // namespace refrain::store
