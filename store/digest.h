// SPDX-License-Identifier: Apache-2.0
// The digest of the kv rows, by which regions are compared: buckets by key hash, each the XOR of the hashes
// of the rows in it. It changes in the batch that changes the rows, so it costs no scan.
//
// A row counts with namespace, key, version and value hash: what is the same at every replica that has
// applied the same commits. A tombstone and a row that expires count nothing: both leave at a time that each
// node chooses. The context is left out: it follows from the commits that were applied and decides no read;
// so is the writer's floor, which follows from the version.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/types.h"
#include "store/draft.h"
#include "store/engine.h"

namespace refrain::store {

inline constexpr std::uint32_t kDigestFormat = 1;  // another number of buckets or another hash is another one
inline constexpr std::uint32_t kDigestBuckets = 4096;

std::uint32_t digest_bucket(std::string_view ns, std::string_view key);
Hash128 value_hash(std::string_view value);
/// What a row that counts adds to its bucket.
Hash128 digest_hash(std::string_view ns, std::string_view key, Hlc hlc, std::string_view node,
                    const Hash128& value_hash);

/// One hash a bucket. Adding a row twice takes it out again.
class DigestBuckets {
 public:
  const Hash128& operator[](std::uint32_t bucket) const { return buckets_[bucket]; }
  void add(std::uint32_t bucket, const Hash128& hash);
  /// A kv row as it stands in the store. False when it cannot be read.
  bool add_row(std::string_view row_key, std::string_view bytes);
  /// All of them, one after the other.
  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(buckets_.data()), kDigestBuckets * sizeof(Hash128)};
  }
  bool operator==(const DigestBuckets&) const = default;

 private:
  std::vector<Hash128> buckets_ = std::vector<Hash128>(kDigestBuckets);
};

/// Makes `buckets` what a store keeps that had no digest before: with it a new content needs no scan.
void put_digest(Draft& draft, const DigestBuckets& buckets);

/// As kept in the store. A store in which nothing was ever counted has zeros.
Result<DigestBuckets> read_digest(const View& view);

/// Counts the rows of one cut anew, in bounded steps. One thread.
class DigestCount {
 public:
  explicit DigestCount(const View& cut) : cursor_(cut.cursor(Family::kKv)) { cursor_->seek(""); }
  /// At most so many rows more. True when all are counted. kCorrupt when a row cannot be read: named.
  Result<bool> step(std::size_t rows);
  const DigestBuckets& buckets() const { return buckets_; }

 private:
  std::unique_ptr<Cursor> cursor_;
  DigestBuckets buckets_;
};

/// The digest beside the running batch. One thread. Crash: what it keeps is in the batch whose rows it
/// counts.
///
/// A row a bucket would be a second row for each put: 23 to 40 % of the commits a second. So the store keeps
/// all buckets in one row and what each batch since changed of them in one more, over which it goes round;
/// after so many the first is written again.
class Digest {
 public:
  /// `most_deltas`: batches after which all buckets are written again.
  explicit Digest(std::uint32_t most_deltas = 4096) : most_deltas_(most_deltas) {}

  /// Reads what the store keeps. A store that keeps none is counted, by one scan, and given one.
  Result<void> load(Engine& engine);

  /// Before the batch is taken: counts what the draft changes, and adds what it came to.
  Result<void> count(Draft& draft);
  /// What became of that batch.
  void written();
  void not_written();

  /// Puts right what differs from the rows. The difference of one cut holds for every later state: whatever
  /// changes a row changes both in the same way.
  void correct(Draft& draft, const DigestBuckets& kept, const DigestBuckets& counted);

  const DigestBuckets& buckets() const { return buckets_; }

 private:
  /// Where the store's rows of it stand.
  struct Place {
    bool kept = false;        // there is one
    std::uint64_t round = 0;  // how often all buckets were written; a delta of another round means nothing
    std::uint32_t deltas = 0;
    std::size_t entries = 0;  // in those
  };
  void put_changed(Draft& draft);

  const std::uint32_t most_deltas_;
  DigestBuckets buckets_;
  std::vector<std::pair<std::uint32_t, Hash128>> counted_;  // by the running batch
  Place place_;
  Place next_;  // once the running batch is written
};

}  // namespace refrain::store
