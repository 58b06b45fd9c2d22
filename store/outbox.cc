// SPDX-License-Identifier: Apache-2.0
#include "store/outbox.h"

#include "base/coding.h"
#include "base/planted.h"

namespace refrain::store {
namespace {

std::string aside_key(Incarnation incarnation, Seq seq) {
  return Writer().u64(incarnation.value).u64(seq.value).take();
}

/// Without its bytes.
AsideRow row_of(std::string_view key) {
  Reader in(key);
  AsideRow row;
  row.incarnation = {in.u64()};
  row.seq = {in.u64()};
  return row;
}

constexpr std::string_view kCounts = "outbox";
constexpr std::uint8_t kCountsFormat = 1;

std::string key_of(Seq seq) {
  return Writer().u64(seq.value).take();
}

}  // namespace

Result<void> Outbox::load(const View& view) {
  auto kept = read_counts(view);
  if (!kept) return kept.error();
  if (*kept) {
    stats_ = **kept;
    return {};
  }
  stats_ = {};
  auto cursor = view.cursor(Family::kOutbox);
  for (cursor->seek(""); cursor->valid(); cursor->next()) {
    Seq seq{Reader(cursor->key()).u64()};
    if (!stats_.lowest) stats_.lowest = seq;
    stats_.commits += 1;
    stats_.bytes += cursor->value().size();
    stats_.next = seq.next();
  }
  return cursor->status();
}

/// nullopt: none, or they do not fit the rows.
Result<std::optional<Outbox::Stats>> Outbox::read_counts(const View& view) {
  auto counts = view.get(Family::kDefault, kCounts);
  if (!counts) return counts.error();
  if (!*counts) return std::optional<Stats>();
  Reader in(**counts);
  bool known = in.u8() == kCountsFormat;
  Stats stats;
  stats.commits = in.u64();
  stats.bytes = in.u64();
  if (Seq lowest{in.u64()}; stats.commits > 0) stats.lowest = lowest;
  stats.next = {in.u64()};
  if (!known || !in.done()) {
    return corrupt(
        "The row that says how large the outbox is cannot be read. Move the data directory aside and rebuild "
        "the node from its peers.");
  }
  // A program that knows nothing of this row has appended, or dropped from the front.
  auto cursor = view.cursor(Family::kOutbox);
  cursor->seek(key_of(stats.next));
  if (auto status = cursor->status(); !status) return status.error();
  if (cursor->valid()) return std::optional<Stats>();
  if (!stats.lowest) return std::optional(stats);
  auto first = get(view, *stats.lowest);
  if (!first) return first.error();
  return *first ? std::optional(stats) : std::optional<Stats>();
}

void Outbox::put_counts(Draft& draft) const {
  draft.put(Family::kDefault, kCounts,
            Writer()
                .u8(kCountsFormat)
                .u64(stats_.commits)
                .u64(stats_.bytes)
                .u64(stats_.lowest.value_or(Seq{}).value)
                .u64(stats_.next.value)
                .take());
}

void Outbox::append(Draft& draft, Seq seq, std::string bytes) {
  stats_.commits += 1;
  stats_.bytes += bytes.size();
  stats_.next = seq.next();
  draft.put(Family::kOutbox, key_of(seq), std::move(bytes));
  if (!stats_.lowest) stats_.lowest = seq;
}

Result<void> Outbox::drop_up_to(Draft& draft, Seq seq, std::size_t most) {
  if (!stats_.lowest || *stats_.lowest > seq) return {};
  auto cursor = draft.view().cursor(Family::kOutbox);
  Seq next = seq.next();
  for (cursor->seek(key_of(*stats_.lowest)); cursor->valid() && most > 0; cursor->next(), --most) {
    Seq row{Reader(cursor->key()).u64()};
    if (row > seq) {
      next = row;
      break;
    }
    draft.remove(Family::kOutbox, cursor->key());
    stats_.commits -= 1;
    if (!REFRAIN_PLANTED(outbox_bytes_only_grow)) stats_.bytes -= cursor->value().size();
    next = row.next();
  }
  stats_.lowest = stats_.commits == 0 ? std::nullopt : std::optional<Seq>(next);
  return cursor->status();
}

Result<std::vector<OutboxRow>> Outbox::read(const View& view, Seq from, std::size_t most,
                                            std::size_t most_bytes) {
  std::vector<OutboxRow> rows;
  std::size_t bytes = 0;
  auto cursor = view.cursor(Family::kOutbox);
  for (cursor->seek(key_of(from)); cursor->valid() && rows.size() < most && bytes < most_bytes;
       cursor->next()) {
    rows.push_back({Seq{Reader(cursor->key()).u64()}, std::string(cursor->value())});
    bytes += rows.back().bytes.size();
  }
  if (auto status = cursor->status(); !status) return status.error();
  return rows;
}

Result<std::optional<std::string>> Outbox::get(const View& view, Seq seq) {
  return view.get(Family::kOutbox, key_of(seq));
}

Result<bool> Outbox::move_aside(Draft& draft, Incarnation incarnation, Seq from, std::size_t most,
                                const Worth& worth) {
  auto cursor = draft.view().cursor(Family::kOutbox);
  constexpr std::size_t kMostBytes = 4 << 20;
  std::size_t moved = 0;
  cursor->seek(key_of(from));
  for (; cursor->valid() && most > 0 && moved < kMostBytes; cursor->next(), --most) {
    moved += cursor->value().size();
    Seq seq{Reader(cursor->key()).u64()};
    if (worth(cursor->value())) keep_aside(draft, incarnation, seq, std::string(cursor->value()));
    draft.remove(Family::kOutbox, cursor->key());
    stats_.commits -= 1;
    stats_.bytes -= cursor->value().size();
    if (stats_.lowest == seq) stats_.lowest = stats_.commits == 0 ? std::nullopt : std::optional(seq.next());
  }
  if (auto status = cursor->status(); !status) return status.error();
  return cursor->valid();
}

void Outbox::keep_aside(Draft& draft, Incarnation incarnation, Seq seq, const std::string& bytes) {
  draft.put(Family::kAside, aside_key(incarnation, seq), bytes);
}

Result<bool> Outbox::is_aside(const View& view, const CommitId& commit) {
  auto row = view.get(Family::kAside, aside_key(commit.incarnation, commit.seq));
  if (!row) return row.error();
  return row->has_value();
}

Result<std::uint64_t> Outbox::count_aside(const View& view) {
  std::uint64_t count = 0;
  auto cursor = view.cursor(Family::kAside);
  for (cursor->seek(""); cursor->valid(); cursor->next()) {
    if (row_of(cursor->key()).seq.value > 0) ++count;
  }
  if (auto status = cursor->status(); !status) return status.error();
  return count;
}

Result<std::vector<AsideRow>> Outbox::read_aside(const View& view, Incarnation incarnation, Seq after,
                                                 std::size_t most, std::size_t most_bytes) {
  std::vector<AsideRow> rows;
  std::size_t bytes = 0;
  auto cursor = view.cursor(Family::kAside);
  for (cursor->seek(aside_key(incarnation, after.next()));
       cursor->valid() && rows.size() < most && bytes < most_bytes; cursor->next()) {
    AsideRow row = row_of(cursor->key());
    if (row.seq.value == 0) continue;
    row.bytes = std::string(cursor->value());
    bytes += row.bytes.size();
    rows.push_back(std::move(row));
  }
  if (auto status = cursor->status(); !status) return status.error();
  return rows;
}

void Outbox::set_void_start(Draft& draft, Incarnation incarnation, const VoidStart& start) {
  draft.put(Family::kAside, aside_key(incarnation, {}),
            Writer().u8(1).u64(start.from.value).u64(start.seen_own.value).take());
}

Result<std::optional<VoidStart>> Outbox::void_start(const View& view, Incarnation incarnation) {
  auto row = view.get(Family::kAside, aside_key(incarnation, {}));
  if (!row) return row.error();
  if (!*row) return std::optional<VoidStart>();
  Reader in(**row);
  bool known = in.u8() == 1;
  VoidStart start{{in.u64()}, {in.u64()}};
  if (!known || !in.done())
    return corrupt("The row that says where void commits begin cannot be read. Look at the disk.");
  return std::optional(start);
}

}  // namespace refrain::store
