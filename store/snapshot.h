// SPDX-License-Identifier: Apache-2.0
// A node's rows as a stream, for a joiner: one cut of an active member. Blocks of about 256 KiB, each
// `u32 size | u32 crc32c | body`; the first holds the header, the last the totals. What is in it and what is
// not: in_snapshot().
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "store/digest.h"
#include "store/engine.h"
#include "store/meta.h"
#include "store/operations.h"
#include "store/store_format.h"

namespace refrain::store {

inline constexpr std::size_t kSnapshotBlockBytes = 256 * 1024;  // about; a larger row has a block of its own
inline constexpr std::size_t kSnapshotMaxBlockBytes = 64ULL
                                                      << 20;  // a larger one is refused before it is read

/// What a receiver must know before it takes a row.
struct SnapshotHeader {
  std::uint32_t store_format = 0;
  std::uint32_t oldest_reader = 0;
  ClusterId cluster;
  Journal source;
  AppliedTable applied;              // of the cut; the source's own journal too
  std::vector<std::string> members;  // the members log's entries as the source has them, from n = 1
  Hlc floor;
  bool operator==(const SnapshotHeader&) const = default;
};

/// What the stream came to; both sides count alike.
struct SnapshotTotals {
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;  // of keys and values
  bool operator==(const SnapshotTotals&) const = default;
};

/// Whether a row belongs in a snapshot taken at `source`. All data rows do; of family default those about
/// others (applied, cursor, tick, members, floor, hlc) save the source's cursor in its own journal; identity,
/// outbox and what goes with it, words and void commits never do.
bool in_snapshot(Family family, std::string_view key, const NodeName& source);

/// Walks one cut. One thread.
class SnapshotWriter {
 public:
  /// `cut` is an Engine's snapshot(); `format` is its directory's.
  static Result<std::unique_ptr<SnapshotWriter>> start(std::unique_ptr<View> cut,
                                                       const StoreFormat& format = kStoreProgram.newest);

  const SnapshotHeader& header() const { return header_; }
  const SnapshotTotals& totals() const { return totals_; }
  /// Newest own commit in the cut: finish() may be sent only once Kafka has acknowledged it.
  Seq newest_own() const;

  /// The next block; nullopt when only finish() is left. The first one holds the header.
  Result<std::optional<std::string>> next();
  /// The last block: without it the receiver has nothing. Only after next() gave nullopt.
  std::string finish();

 private:
  SnapshotWriter(std::unique_ptr<View> cut, SnapshotHeader header)
      : cut_(std::move(cut)), header_(std::move(header)) {}
  bool advance();  // to a row that belongs in; false at the end or on an error
  std::unique_ptr<View> cut_;
  SnapshotHeader header_;
  SnapshotTotals totals_;
  std::unique_ptr<Cursor> cursor_;
  std::size_t family_ = 0;
  bool header_sent_ = false;
  bool rows_done_ = false;
};

/// Takes a snapshot into an empty store. One thread. Crash: until finish() came back the store's identity
/// says `installing`, so that the next start empties it; after that it is whole.
class SnapshotLoader {
 public:
  /// Whether the snapshot is the one that was asked for; its error is feed()'s, before any row came in.
  using Accept = std::function<Result<void>(const SnapshotHeader&)>;

  /// `identity` is what the store will have, `format` what its directory may hold. kConflict when it holds
  /// rows already (other than an identity and void commits).
  static Result<std::unique_ptr<SnapshotLoader>> start(Engine& engine, Identity identity, Accept accept = {},
                                                       const StoreFormat& format = kStoreProgram.newest);

  /// Any piece of the stream, in order. kCorrupt for damage or what does not belong in (newer_format: of
  /// rows that the directory may not hold): the loader is of no more use then, empty the store and ask again.
  Result<void> feed(std::string_view bytes);

  /// Set once the first block is in.
  const std::optional<SnapshotHeader>& header() const { return header_; }
  const SnapshotTotals& totals() const { return totals_; }
  bool complete() const { return complete_; }  // the last block is in and fits

  /// Makes it the store's content, durably. kInvalid when the stream is not complete.
  Result<void> finish();

 private:
  SnapshotLoader(Engine& engine, Identity identity, Accept accept, const StoreFormat& format)
      : engine_(engine),
        format_(format),
        load_(engine.bulk_load()),
        identity_(std::move(identity)),
        accept_(std::move(accept)) {}
  Result<void> take_framed(std::string_view block);
  Result<void> take_block(std::string_view body);
  Result<void> take_header(std::string_view body);
  Result<void> take_rows(std::string_view body);
  Result<void> take_end(std::string_view body);
  Engine& engine_;
  const StoreFormat format_;
  std::unique_ptr<BulkLoad> load_;  // of all rows but those of family default, where the identity stands
  Identity identity_;
  Accept accept_;
  std::string pending_;  // bytes of a block that is not whole yet
  std::optional<SnapshotHeader> header_;
  SnapshotTotals totals_;
  DigestBuckets digest_;  // of the rows that came
  bool complete_ = false;
  bool broken_ = false;
};

/// Removes every row but the identity and what is kept aside, in small batches. Crash: some are left; call it
/// again.
Result<void> empty_store(Engine& engine);

/// Empties the store for a new life as `identity`. Crash: from the first write on the identity says
/// `installing`, and begin_anew() with it is to be called again; after it came back the store is empty.
Result<void> begin_anew(Engine& engine, Identity identity);

}  // namespace refrain::store
