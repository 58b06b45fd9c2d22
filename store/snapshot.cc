// SPDX-License-Identifier: Apache-2.0
#include "store/snapshot.h"

#include <algorithm>
#include <array>

#include "base/coding.h"
#include "base/hash.h"
#include "store/data_dir.h"
#include "store/draft.h"

namespace refrain::store {
namespace {

constexpr std::size_t kFrameBytes = 8;  // size and crc in front of a body
constexpr std::string_view kMagic = "refrain-snapshot";

enum class BlockKind : std::uint8_t { kHeader = 1, kRows = 2, kEnd = 3 };

Error damaged(const std::string& what) {
  return corrupt("The snapshot is damaged: " + what + ". Nothing of it is kept; it is asked for again.");
}

std::string framed(const std::string& body) {
  Writer out;
  out.u32(static_cast<std::uint32_t>(body.size())).u32(crc32c(body)).raw(body);
  return out.take();
}

std::string encode_header(const SnapshotHeader& header) {
  Writer out;
  out.u8(static_cast<std::uint8_t>(BlockKind::kHeader)).raw(kMagic);
  out.u32(header.store_format).u32(header.oldest_reader).u32(header.cluster.value);
  out.string(header.source.node).u64(header.source.incarnation.value).varint(header.applied.size());
  for (const auto& [journal, applied] : header.applied) {
    out.string(journal.node).u64(journal.incarnation.value).u64(applied.seq.value).u64(applied.hlc.value);
  }
  out.varint(header.members.size());
  for (const std::string& entry : header.members) out.string(entry);
  return out.u64(header.floor.value).take();
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
    return std::optional<std::string>(framed(encode_header(header_)));
  }
  Writer body;
  body.u8(static_cast<std::uint8_t>(BlockKind::kRows));
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
  return std::optional<std::string>(framed(body.bytes()));
}

std::string SnapshotWriter::finish() {
  REFRAIN_ASSERT(rows_done_, "a snapshot ends after its last row");
  Writer body;
  body.u8(static_cast<std::uint8_t>(BlockKind::kEnd)).u64(totals_.rows).u64(totals_.bytes);
  return framed(body.bytes());
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
  pending_.append(bytes);
  std::size_t at = 0;
  while (pending_.size() - at >= kFrameBytes) {
    Reader frame(std::string_view(pending_).substr(at, kFrameBytes));
    std::size_t size = frame.u32();
    std::uint32_t crc = frame.u32();
    broken_ = true;  // unless this block turns out well
    if (size > kSnapshotMaxBlockBytes) return damaged("a block is larger than any block");
    broken_ = false;
    if (pending_.size() - at - kFrameBytes < size) break;
    std::string_view body = std::string_view(pending_).substr(at + kFrameBytes, size);
    broken_ = true;
    if (crc32c(body) != crc) return damaged("a block's checksum does not fit");
    if (auto taken = take_block(body); !taken) return taken;
    broken_ = false;
    at += kFrameBytes + size;
  }
  pending_.erase(0, at);
  return {};
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
  return write_identity(engine_, identity_);
}

Result<void> empty_store(Engine& engine) {
  constexpr std::size_t kRowsAtOnce = 1000;
  for (std::size_t i = 0; i < kFamilies; ++i) {
    Family family = static_cast<Family>(i);
    if (family == Family::kAside) continue;  // void commits, which only this store has
    Batch batch;
    auto cursor = engine.cursor(family);
    for (cursor->seek(""); cursor->valid(); cursor->next()) {
      if (family == Family::kDefault && cursor->key() == "identity") continue;
      batch.remove(family, std::string(cursor->key()));
      if (batch.changes().size() < kRowsAtOnce) continue;
      if (auto written = engine.write(batch, Durability::kBuffered); !written) return written;
      batch.clear();
    }
    if (auto status = cursor->status(); !status) return status;
    if (auto written = engine.write(batch, Durability::kBuffered); !written) return written;
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
