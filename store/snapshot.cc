// SPDX-License-Identifier: Apache-2.0
#include "store/snapshot.h"

#include <algorithm>
#include <array>

#include "base/coding.h"
#include "base/hash.h"
#include "base/planted.h"
#include "store/data_dir.h"
#include "store/draft.h"
#include "store/remove_rows.h"

namespace refrain::store {
namespace {

constexpr std::size_t kFrameBytes = 8;  // size and crc in front of a body
constexpr std::string_view kMagic = "refrain-snapshot";

enum class BlockKind : std::uint8_t { kHeader = 1, kRows = 2, kEnd = 3 };

Error damaged(const std::string& what) {
  return corrupt("The snapshot is damaged: " + what + ". Nothing of it is kept; it is asked for again.");
}

/// A block as it is sent. `block` begins with kFrameBytes bytes that are filled in here.
std::string framed(std::string block) {
  std::string_view body = std::string_view(block).substr(kFrameBytes);
  Writer frame;
  frame.u32(static_cast<std::uint32_t>(body.size())).u32(crc32c(body));
  block.replace(0, kFrameBytes, frame.bytes());
  return block;
}

/// A block that is being written, with room in front for its frame.
Writer begun(BlockKind kind, std::size_t expected_bytes = 0) {
  Writer out(kFrameBytes + expected_bytes);
  out.u64(0).u8(static_cast<std::uint8_t>(kind));
  return out;
}

std::string header_block(const SnapshotHeader& header) {
  Writer out = begun(BlockKind::kHeader);
  out.raw(kMagic);
  out.u32(header.store_format).u32(header.oldest_reader).u32(header.cluster.value);
  out.string(header.source.node).u64(header.source.incarnation.value).varint(header.applied.size());
  for (const auto& [journal, applied] : header.applied) {
    out.string(journal.node).u64(journal.incarnation.value).u64(applied.seq.value).u64(applied.hlc.value);
  }
  out.varint(header.members.size());
  for (const std::string& entry : header.members) out.string(entry);
  out.u64(header.floor.value);
  return framed(out.take());
}

struct Frame {
  std::size_t size = 0;
  std::uint32_t crc = 0;
};

/// Of a block that is here with at least its frame.
Frame frame_of(std::string_view block) {
  Reader in(block.substr(0, kFrameBytes));
  std::size_t size = in.u32();
  return {size, in.u32()};
}

/// How many bytes the block that `bytes` begin with still lacks, as far as can be told: first those of its
/// frame.
Result<std::size_t> missing_from(std::string_view bytes) {
  if (bytes.size() < kFrameBytes) return kFrameBytes - bytes.size();
  std::size_t size = frame_of(bytes).size;
  if (size > kSnapshotMaxBlockBytes) return damaged("a block is larger than any block");
  std::size_t whole = kFrameBytes + size;
  return whole > bytes.size() ? whole - bytes.size() : 0;
}

/// After the kind and the magic words.
SnapshotHeader decode_header(Reader& in) {
  SnapshotHeader header;
  header.store_format = in.u32();
  header.oldest_reader = in.u32();
  header.cluster = {in.u32()};
  header.source.node = std::string(in.string());
  header.source.incarnation = {in.u64()};
  for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left) {
    Journal journal;
    journal.node = std::string(in.string());
    journal.incarnation = {in.u64()};
    Seq seq{in.u64()};
    header.applied[journal] = {seq, {in.u64()}};
  }
  for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left)
    header.members.emplace_back(in.string());
  header.floor = {in.u64()};
  return header;
}

/// True when the store has a row other than its identity.
Result<bool> has_rows(const View& view) {
  for (std::size_t i = 0; i < kFamilies; ++i) {
    if (static_cast<Family>(i) == Family::kAside) continue;
    auto cursor = view.cursor(static_cast<Family>(i));
    for (cursor->seek(""); cursor->valid(); cursor->next()) {
      if (static_cast<Family>(i) != Family::kDefault || cursor->key() != "identity") return true;
    }
    if (auto status = cursor->status(); !status) return status.error();
  }
  return false;
}

Result<void> write_identity(Engine& engine, const Identity& identity) {
  Draft draft(engine);
  Meta::set_identity(draft, identity);
  return engine.write(draft.take(), Durability::kSynced);
}

}  // namespace

bool in_snapshot(Family family, std::string_view key, const NodeName& source) {
  if (family == Family::kOutbox || family == Family::kAside) return false;
  if (family != Family::kDefault) return true;
  if (key == "cursor/" + source) return false;
  static constexpr std::array<std::string_view, 4> kPrefixes = {"applied/", "cursor/", "tick/", "members/"};
  return key == "floor" || key == "hlc" || std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](auto prefix) {
           return key.starts_with(prefix);
         });
}

Result<std::unique_ptr<SnapshotWriter>> SnapshotWriter::start(std::unique_ptr<View> cut) {
  auto identity = Meta::identity(*cut);
  if (!identity) return identity.error();
  REFRAIN_ASSERT(identity->has_value(), "a store without an identity gives no snapshot");
  auto applied = Meta::applied(*cut);
  if (!applied) return applied.error();
  auto members = Meta::members(*cut);
  if (!members) return members.error();
  auto floor = Meta::floor(*cut);
  if (!floor) return floor.error();
  SnapshotHeader header{kStoreFormat,
                        kStoreOldestReader,
                        (*identity)->cluster,
                        {(*identity)->node, (*identity)->incarnation},
                        std::move(*applied),
                        std::move(*members),
                        *floor};
  return std::unique_ptr<SnapshotWriter>(new SnapshotWriter(std::move(cut), std::move(header)));
}

Seq SnapshotWriter::newest_own() const {
  auto own = header_.applied.find(header_.source);
  return own == header_.applied.end() ? Seq{} : own->second.seq;
}

bool SnapshotWriter::advance() {
  for (; family_ < kFamilies; ++family_) {
    Family family = static_cast<Family>(family_);
    if (!cursor_) {
      cursor_ = cut_->cursor(family);
      cursor_->seek("");
    }
    for (; cursor_->valid(); cursor_->next()) {
      if (in_snapshot(family, cursor_->key(), header_.source.node)) return true;
    }
    if (!cursor_->status()) return false;
    cursor_.reset();
  }
  return false;
}

Result<std::optional<std::string>> SnapshotWriter::next() {
  if (!header_sent_) {
    header_sent_ = true;
    return std::optional<std::string>(header_block(header_));
  }
  constexpr std::size_t kLastRow = 16 * 1024;  // may pass the size: most rows are smaller than this
  Writer body = begun(BlockKind::kRows, kSnapshotBlockBytes + kLastRow);
  std::optional<std::size_t> said;  // the family whose name stands before the rows that follow
  while (!rows_done_ && body.bytes().size() < kSnapshotBlockBytes) {
    if (!advance()) {
      if (cursor_) return cursor_->status().error();
      rows_done_ = true;
      break;
    }
    if (said != family_) body.u8(1).string(family_name(static_cast<Family>(family_)));
    said = family_;
    body.u8(0).string(cursor_->key()).string(cursor_->value());
    totals_.rows += 1;
    totals_.bytes += cursor_->key().size() + cursor_->value().size();
    cursor_->next();
  }
  if (!said) return std::optional<std::string>();
  return std::optional<std::string>(framed(body.take()));
}

std::string SnapshotWriter::finish() {
  REFRAIN_ASSERT(rows_done_, "a snapshot ends after its last row");
  Writer body = begun(BlockKind::kEnd);
  body.u64(totals_.rows).u64(totals_.bytes);
  return framed(body.take());
}

Result<std::unique_ptr<SnapshotLoader>> SnapshotLoader::start(Engine& engine, Identity identity,
                                                              Accept accept) {
  auto filled = has_rows(engine);
  if (!filled) return filled.error();
  if (*filled) return conflict("not_empty", "Only an empty store takes a snapshot. Empty it first.");
  identity.installing = true;
  if (auto marked = write_identity(engine, identity); !marked) return marked.error();
  return std::unique_ptr<SnapshotLoader>(new SnapshotLoader(engine, std::move(identity), std::move(accept)));
}

Result<void> SnapshotLoader::feed(std::string_view bytes) {
  if (broken_) return damaged("it went wrong before");
  broken_ = true;                                // unless all of it turns out well
  while (!pending_.empty() && !bytes.empty()) {  // the block that the piece before had begun
    auto missing = missing_from(pending_);
    if (!missing) return missing.error();
    std::size_t taken = std::min(*missing, bytes.size());
    pending_.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    auto left = missing_from(pending_);
    if (!left) return left.error();
    if (*left > 0) continue;
    if (auto fed = take_framed(pending_); !fed) return fed;
    pending_.clear();
  }
  while (!bytes.empty()) {
    auto missing = missing_from(bytes);
    if (!missing) return missing.error();
    if (*missing > 0) break;
    std::size_t whole = frame_of(bytes).size + kFrameBytes;
    if (auto fed = take_framed(bytes.substr(0, whole)); !fed) return fed;
    bytes.remove_prefix(whole);
  }
  pending_.append(bytes);
  broken_ = false;
  return {};
}

Result<void> SnapshotLoader::take_framed(std::string_view block) {
  std::string_view body = block.substr(kFrameBytes);
  if (crc32c(body) != frame_of(block).crc) return damaged("a block's checksum does not fit");
  return take_block(body);
}

Result<void> SnapshotLoader::take_block(std::string_view body) {
  Reader in(body);
  BlockKind kind = static_cast<BlockKind>(in.u8());
  std::string_view rest = in.rest();
  if (complete_) return damaged("something follows its last block");
  if (header_.has_value() == (kind == BlockKind::kHeader)) return damaged("its blocks are out of order");
  switch (kind) {
    case BlockKind::kHeader:
      return take_header(rest);
    case BlockKind::kRows:
      return take_rows(rest);
    case BlockKind::kEnd:
      return take_end(rest);
  }
  return damaged("a block is of no known kind");
}

Result<void> SnapshotLoader::take_header(std::string_view body) {
  if (!body.starts_with(kMagic)) return damaged("it does not begin as a snapshot does");
  Reader in(body.substr(kMagic.size()));
  SnapshotHeader header = decode_header(in);
  if (header.oldest_reader > kStoreFormat) {
    return Error{Code::kCorrupt, "newer_format",
                 "The snapshot has store format " + std::to_string(header.store_format) +
                     " and needs a program that reads " + std::to_string(header.oldest_reader) +
                     "; this one reads " + std::to_string(kStoreFormat) + ". Upgrade this node first."};
  }
  if (!in.done()) return damaged("its header cannot be read");
  if (accept_) {
    if (auto accepted = accept_(header); !accepted) return accepted;
  }
  header_ = std::move(header);
  return {};
}

Result<void> SnapshotLoader::take_rows(std::string_view body) {
  Reader in(body);
  std::optional<Family> family;
  Batch batch;
  while (in.ok() && in.left() > 0) {
    if (in.u8() == 1) {
      family = family_of(in.string());
      if (!family) return damaged("it names an unknown family");
      continue;
    }
    std::string_view key = in.string();
    std::string_view value = in.string();
    if (!in.ok() || !family) break;
    if (!in_snapshot(*family, key, header_->source.node))
      return damaged("it holds a row that is no snapshot's");
    totals_.rows += 1;
    totals_.bytes += key.size() + value.size();
    if (*family == Family::kKv && !REFRAIN_PLANTED(snapshot_digest_empty) && !digest_.add_row(key, value))
      return damaged("a key's row cannot be read");
    if (*family == Family::kDefault) {
      batch.put(*family, std::string(key), std::string(value));
    } else if (auto added = load_->add(*family, key, value); !added) {
      return added.error().code == Code::kInvalid ? damaged("its rows are out of order") : added.error();
    }
  }
  if (!in.done()) return damaged("a row cannot be read");
  return batch.empty() ? Result<void>() : engine_.write(batch, Durability::kBuffered);
}

Result<void> SnapshotLoader::take_end(std::string_view body) {
  Reader in(body);
  SnapshotTotals totals{in.u64(), in.u64()};
  if (!in.done() || totals != totals_) return damaged("rows are missing");
  complete_ = true;
  return {};
}

// Batches become durable in order, so when the identity is, everything before it is.
Result<void> SnapshotLoader::finish() {
  if (!complete_ || broken_ || !pending_.empty())
    return invalid("invalid", "The snapshot has not come whole.");
  if (auto loaded = load_->finish(); !loaded) return loaded;
  identity_.installing = false;
  Draft draft(engine_);
  put_digest(draft, digest_);
  Meta::set_identity(draft, identity_);
  return engine_.write(draft.take(), Durability::kSynced);
}

Result<void> empty_store(Engine& engine) {
  for (std::size_t i = 0; i < kFamilies; ++i) {
    Family family = static_cast<Family>(i);
    if (family == Family::kAside) continue;  // void commits, which only this store has
    auto removed = remove_rows(engine, family, [family](std::string_view key) {
      return family != Family::kDefault || key != "identity";
    });
    if (!removed) return removed;
  }
  Batch last;  // its sync takes in those before it
  last.remove(Family::kDefault, "hlc");
  return engine.write(last, Durability::kSynced);
}

Result<void> begin_anew(Engine& engine, Identity identity) {
  identity.installing = true;
  if (auto marked = write_identity(engine, identity); !marked) return marked;
  if (auto emptied = empty_store(engine); !emptied) return emptied;
  identity.installing = false;
  return write_identity(engine, identity);
}

}  // namespace refrain::store
