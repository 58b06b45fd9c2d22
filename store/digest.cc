// SPDX-License-Identifier: Apache-2.0
#include "store/digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/coding.h"
#include "base/planted.h"
#include "store/kv.h"

namespace refrain::store {
namespace {

constexpr std::string_view kAll = "digest";      // all buckets, as of a round's beginning
constexpr std::string_view kDeltas = "digest/";  // what batches of that round changed
constexpr std::uint8_t kRowFormat = 1;
constexpr std::size_t kMostEntries = 32'768;

Error damaged(std::string_view name) {
  return corrupt(
      fmt::format("Row {} of the store cannot be read. Move the data directory aside and rebuild the node "
                  "from its peers.",
                  name));
}

std::string delta_name(std::uint32_t delta) {
  return fmt::format("{}{:04x}", kDeltas, delta);
}

Hash128 hash_of(std::string_view bytes) {
  Hash128 hash{};
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

Hash128 together(Hash128 a, const Hash128& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] ^= b[i];
  return a;
}

/// What a store keeps.
struct Kept {
  DigestBuckets buckets;
  std::uint64_t round = 0;
  std::uint32_t deltas = 0;
  std::size_t entries = 0;
};

/// False: a row that cannot be read.
bool add_delta(std::string_view bytes, Kept& kept) {
  Reader in(bytes);
  if (in.u8() != kRowFormat) return false;
  if (in.u64() != kept.round) return in.ok();  // of a round that is over
  while (in.ok() && in.left() > 0) {
    std::uint32_t bucket = in.u32();
    std::string_view hash = in.raw(sizeof(Hash128));
    if (!in.ok() || bucket >= kDigestBuckets) return false;
    kept.buckets.add(bucket, hash_of(hash));
    ++kept.entries;
  }
  ++kept.deltas;
  return in.ok();
}

/// Nothing when the store keeps none, or one that another program counted otherwise.
Result<std::optional<Kept>> read_kept(const View& view) {
  auto all = view.get(Family::kDefault, kAll);
  if (!all) return all.error();
  if (!*all) return std::optional<Kept>();
  Kept kept;
  Reader in(**all);
  if (in.u8() != kRowFormat) return damaged(kAll);
  bool ours = in.u32() == kDigestFormat;
  kept.round = in.u64();
  if (!in.ok()) return damaged(kAll);
  if (!ours) return std::optional<Kept>();
  if (in.left() != kDigestBuckets * sizeof(Hash128)) return damaged(kAll);
  for (std::uint32_t bucket = 0; bucket < kDigestBuckets; ++bucket)
    kept.buckets.add(bucket, hash_of(in.raw(sizeof(Hash128))));
  auto cursor = view.cursor(Family::kDefault);
  for (cursor->seek(kDeltas); cursor->valid() && cursor->key().starts_with(kDeltas); cursor->next()) {
    if (!add_delta(cursor->value(), kept)) return damaged(cursor->key());
  }
  if (auto status = cursor->status(); !status) return status.error();
  return std::optional(std::move(kept));
}

/// The bucket and what the row adds to it; no hash when it adds nothing.
struct Counted {
  std::uint32_t bucket = 0;
  std::optional<Hash128> hash;
};

std::optional<Counted> count_row(std::string_view row_key, std::string_view bytes) {
  auto fields = kv_fields(bytes);
  if (!fields) return std::nullopt;
  auto [ns, key] = split_kv_key(row_key);
  Counted counted{digest_bucket(ns, key), std::nullopt};
  bool counts = !fields->deleted && (!fields->expires_at || REFRAIN_PLANTED(digest_counts_expiring));
  if (counts) counted.hash = digest_hash(ns, key, fields->hlc, fields->node, value_hash(fields->value));
  return counted;
}

void put_all(Draft& draft, const DigestBuckets& buckets, std::uint64_t round) {
  Writer out(13 + buckets.bytes().size());
  out.u8(kRowFormat).u32(kDigestFormat).u64(round).raw(buckets.bytes());
  draft.put(Family::kDefault, kAll, out.take());
}

Error unreadable(std::string_view row_key) {
  auto [ns, key] = split_kv_key(row_key);
  return unreadable_kv(ns, key);
}

}  // namespace

std::uint32_t digest_bucket(std::string_view ns, std::string_view key) {
  Hash128 hash = hash128_framed({ns, key});
  return (std::uint32_t{hash[0]} << 8 | hash[1]) % kDigestBuckets;
}

Hash128 value_hash(std::string_view value) {
  return hash128_framed({value});
}

Hash128 digest_hash(std::string_view ns, std::string_view key, Hlc hlc, std::string_view node,
                    const Hash128& value_hash) {
  std::array<char, 8> number{};
  for (int i = 0; i < 8; ++i) number[i] = static_cast<char>(hlc.value >> (56 - 8 * i));
  return hash128_framed({ns, key, {number.data(), number.size()}, node, as_bytes(value_hash)});
}

void DigestBuckets::add(std::uint32_t bucket, const Hash128& hash) {
  buckets_[bucket] = together(buckets_[bucket], hash);
}

bool DigestBuckets::add_row(std::string_view row_key, std::string_view bytes) {
  auto counted = count_row(row_key, bytes);
  if (!counted) return false;
  if (counted->hash) add(counted->bucket, *counted->hash);
  return true;
}

void put_digest(Draft& draft, const DigestBuckets& buckets) {
  put_all(draft, buckets, 1);
}

Result<DigestBuckets> read_digest(const View& view) {
  auto kept = read_kept(view);
  if (!kept) return kept.error();
  return *kept ? std::move((*kept)->buckets) : DigestBuckets();
}

Result<bool> DigestCount::step(std::size_t rows) {
  for (; rows > 0 && cursor_->valid(); --rows, cursor_->next()) {
    if (!buckets_.add_row(cursor_->key(), cursor_->value())) return unreadable(cursor_->key());
  }
  if (auto status = cursor_->status(); !status) return status.error();
  return !cursor_->valid();
}

Result<void> Digest::load(Engine& engine) {
  counted_.clear();
  auto kept = read_kept(engine);
  if (!kept) return kept.error();
  if (*kept) {
    buckets_ = std::move((*kept)->buckets);
    place_ = next_ = {true, (*kept)->round, (*kept)->deltas, (*kept)->entries};
    return {};
  }
  DigestCount count(engine);
  if (auto done = count.step(SIZE_MAX); !done) return done.error();
  buckets_ = count.buckets();
  place_ = next_ = {};
  Draft draft(engine);
  auto cursor = engine.cursor(Family::kDefault);  // what another format left
  for (cursor->seek(kDeltas); cursor->valid() && cursor->key().starts_with(kDeltas); cursor->next())
    draft.remove(Family::kDefault, cursor->key());
  if (auto status = cursor->status(); !status) return status.error();
  if (draft.empty() && buckets_ == DigestBuckets()) return {};  // it comes with the first row that counts
  put_changed(draft);
  auto done = engine.write(draft.take(), Durability::kSynced);
  if (done) written();
  return done;
}

Result<void> Digest::count(Draft& draft) {
  decltype(counted_) found;
  auto look = [&found](std::string_view key, const std::string* before,
                       const std::string* after) -> Result<void> {
    std::optional<Counted> old = before ? count_row(key, *before) : Counted{};
    std::optional<Counted> fresh = after ? count_row(key, *after) : Counted{};
    if (!old || !fresh) return unreadable(key);
    if (old->hash == fresh->hash && REFRAIN_PLANTED(digest_counts_losers)) old->hash.reset();
    if (old->hash == fresh->hash) return {};  // a loser arrived: only the context changed
    if (!fresh->hash && REFRAIN_PLANTED(digest_misses_delete)) return {};
    if (REFRAIN_PLANTED(digest_keeps_overwritten)) old->hash.reset();
    found.emplace_back(after ? fresh->bucket : old->bucket,
                       together(old->hash.value_or(Hash128{}), fresh->hash.value_or(Hash128{})));
    return {};
  };
  if (auto done = draft.each_change(Family::kKv, look); !done) return done;
  for (const auto& [bucket, hash] : found) buckets_.add(bucket, hash);
  counted_.insert(counted_.end(), found.begin(), found.end());
  if (!counted_.empty()) put_changed(draft);
  return {};
}

/// More than once for a batch: the last one counts.
void Digest::put_changed(Draft& draft) {
  next_ = place_;
  if (place_.kept && place_.deltas < most_deltas_ && place_.entries + counted_.size() <= kMostEntries) {
    Writer out(9 + counted_.size() * (4 + sizeof(Hash128)));
    out.u8(kRowFormat).u64(place_.round);
    for (const auto& [bucket, hash] : counted_) out.u32(bucket).raw(as_bytes(hash));
    draft.put(Family::kDefault, delta_name(place_.deltas), out.take());
    next_.deltas += 1;
    next_.entries += counted_.size();
    return;
  }
  if (place_.kept) REFRAIN_BRANCH(digest_written_whole);
  next_ = {true, place_.round + (REFRAIN_PLANTED(digest_round_stays) ? 0 : 1), 0, 0};
  put_all(draft, buckets_, next_.round);
}

void Digest::written() {
  counted_.clear();
  place_ = next_;
}

void Digest::not_written() {
  if (!REFRAIN_PLANTED(digest_not_restored)) {
    for (const auto& [bucket, hash] : counted_) buckets_.add(bucket, hash);
  }
  counted_.clear();
  next_ = place_;
}

void Digest::correct(Draft& draft, const DigestBuckets& kept, const DigestBuckets& counted) {
  for (std::uint32_t bucket = 0; bucket < kDigestBuckets; ++bucket) {
    Hash128 difference = together(kept[bucket], counted[bucket]);
    if (difference == Hash128{}) continue;
    buckets_.add(bucket, difference);
    counted_.emplace_back(bucket, difference);
  }
  if (!counted_.empty()) put_changed(draft);
}

}  // namespace refrain::store
