// SPDX-License-Identifier: Apache-2.0
#include "store/digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/coding.h"
#include "base/planted.h"
#include "store/kv.h"

namespace refrain::store {
namespace {

constexpr std::string_view kMarker = "digest";  // says that the rows below are kept, and in which format
constexpr std::string_view kPrefix = "digest/";
constexpr std::uint8_t kRowFormat = 1;

Error damaged(std::string_view name) {
  return corrupt(
      fmt::format("Row {} of the store cannot be read. Move the data directory aside and rebuild the node "
                  "from its peers.",
                  name));
}

std::string row_name(std::uint32_t bucket) {
  return fmt::format("{}{:04x}", kPrefix, bucket);
}

std::string encode_bucket(const Hash128& hash) {
  return Writer(17).u8(kRowFormat).raw(as_bytes(hash)).take();
}

/// The bucket that a row named so is of.
std::optional<std::uint32_t> bucket_of_row(std::string_view name) {
  std::uint32_t bucket = 0;
  name.remove_prefix(kPrefix.size());
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), bucket, 16);
  if (error != std::errc() || end != name.data() + name.size() || bucket >= kDigestBuckets)
    return std::nullopt;
  return bucket;
}

/// True when the store keeps a digest as this program counts it.
Result<bool> is_kept(const View& view) {
  auto marker = view.get(Family::kDefault, kMarker);
  if (!marker) return marker.error();
  if (!*marker) return false;
  Reader in(**marker);
  if (in.u8() != kRowFormat) return damaged(kMarker);
  std::uint32_t format = in.u32();
  if (!in.done()) return damaged(kMarker);
  return format == kDigestFormat;
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
  for (std::size_t i = 0; i < hash.size(); ++i) buckets_[bucket][i] ^= hash[i];
}

bool DigestBuckets::add_row(std::string_view row_key, std::string_view bytes) {
  auto counted = count_row(row_key, bytes);
  if (!counted) return false;
  if (counted->hash) add(counted->bucket, *counted->hash);
  return true;
}

Result<DigestBuckets> read_digest(const View& view) {
  DigestBuckets buckets;
  auto kept = is_kept(view);
  if (!kept) return kept.error();
  if (!*kept) return buckets;
  auto cursor = view.cursor(Family::kDefault);
  for (cursor->seek(kPrefix); cursor->valid() && cursor->key().starts_with(kPrefix); cursor->next()) {
    auto bucket = bucket_of_row(cursor->key());
    Reader in(cursor->value());
    bool known = in.u8() == kRowFormat;
    std::string_view bytes = in.raw(16);
    if (!bucket || !known || !in.done()) return damaged(cursor->key());
    Hash128 hash{};
    std::copy(bytes.begin(), bytes.end(), hash.begin());
    buckets.add(*bucket, hash);
  }
  if (auto status = cursor->status(); !status) return status.error();
  return buckets;
}

Result<bool> DigestCount::step(std::size_t rows) {
  for (; rows > 0 && cursor_->valid(); --rows, cursor_->next()) {
    if (!buckets_.add_row(cursor_->key(), cursor_->value())) return unreadable(cursor_->key());
  }
  if (auto status = cursor_->status(); !status) return status.error();
  return !cursor_->valid();
}

Result<void> Digest::load(Engine& engine) {
  buckets_ = {};
  counted_.clear();
  auto kept = is_kept(engine);
  if (!kept) return kept.error();
  marked_ = *kept;
  if (marked_) {
    auto read = read_digest(engine);
    if (!read) return read.error();
    buckets_ = std::move(*read);
    return {};
  }
  DigestCount count(engine);
  if (auto done = count.step(SIZE_MAX); !done) return done.error();
  buckets_ = count.buckets();
  Draft draft(engine);
  auto cursor = engine.cursor(Family::kDefault);  // what another format left
  for (cursor->seek(kPrefix); cursor->valid() && cursor->key().starts_with(kPrefix); cursor->next())
    draft.remove(Family::kDefault, cursor->key());
  if (auto status = cursor->status(); !status) return status.error();
  for (std::uint32_t bucket = 0; bucket < kDigestBuckets; ++bucket) {
    if (buckets_[bucket] != Hash128{})
      draft.put(Family::kDefault, row_name(bucket), encode_bucket(buckets_[bucket]));
  }
  if (draft.empty()) return {};  // with the first row that counts
  REFRAIN_BRANCH(digest_counted_at_open);
  draft.put(Family::kDefault, kMarker, Writer(5).u8(kRowFormat).u32(kDigestFormat).take());
  auto written = engine.write(draft.take(), Durability::kSynced);
  marked_ = written.has_value();
  return written;
}

Result<void> Digest::count(Draft& draft) {
  decltype(counted_) found;
  auto look = [&found](std::string_view key, const std::string* before,
                       const std::string* after) -> Result<void> {
    std::optional<Counted> old = before ? count_row(key, *before) : Counted{};
    std::optional<Counted> fresh = after ? count_row(key, *after) : Counted{};
    if (!old || !fresh) return unreadable(key);
    if (old->hash == fresh->hash) return {};  // a loser arrived: only the context changed
    if (!fresh->hash && REFRAIN_PLANTED(digest_misses_delete)) return {};
    if (old->hash && !REFRAIN_PLANTED(digest_keeps_overwritten)) found.emplace_back(old->bucket, *old->hash);
    if (fresh->hash) found.emplace_back(fresh->bucket, *fresh->hash);
    return {};
  };
  if (auto done = draft.each_change(Family::kKv, look); !done) return done;
  for (const auto& [bucket, hash] : found) buckets_.add(bucket, hash);
  counted_.insert(counted_.end(), found.begin(), found.end());
  put_changed(draft);
  return {};
}

void Digest::put_changed(Draft& draft) {
  if (counted_.empty()) return;
  std::sort(counted_.begin(), counted_.end());
  for (std::size_t i = 0; i < counted_.size(); ++i) {
    std::uint32_t bucket = counted_[i].first;
    if (i > 0 && counted_[i - 1].first == bucket) continue;
    draft.put(Family::kDefault, row_name(bucket), encode_bucket(buckets_[bucket]));
  }
  if (!marked_) draft.put(Family::kDefault, kMarker, Writer(5).u8(kRowFormat).u32(kDigestFormat).take());
}

void Digest::not_written() {
  if (!REFRAIN_PLANTED(digest_not_restored)) {
    for (const auto& [bucket, hash] : counted_) buckets_.add(bucket, hash);
  }
  counted_.clear();
}

void Digest::correct(Draft& draft, const DigestBuckets& kept, const DigestBuckets& counted) {
  for (std::uint32_t bucket = 0; bucket < kDigestBuckets; ++bucket) {
    Hash128 difference = kept[bucket];
    for (std::size_t i = 0; i < difference.size(); ++i) difference[i] ^= counted[bucket][i];
    if (difference == Hash128{}) continue;
    buckets_.add(bucket, difference);
    counted_.emplace_back(bucket, difference);
  }
  put_changed(draft);
}

}  // namespace refrain::store
