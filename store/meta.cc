// SPDX-License-Identifier: Apache-2.0
#include "store/meta.h"

#include <fmt/format.h>

#include "base/coding.h"
#include "base/text.h"

namespace refrain::store {
namespace {

constexpr std::uint8_t kFormat = 1;

Error damaged(std::string_view name) {
  return corrupt(fmt::format(
      "The row '{}' of the data directory cannot be read. Move the directory aside and rebuild the "
      "node from its peers.",
      name));
}

/// The row past its format number, which the caller has checked.
Reader open(std::string_view bytes) {
  return Reader(bytes.substr(1));
}

Writer row() {
  Writer out;
  out.u8(kFormat);
  return out;
}

template <class Decode>
auto read_row(const View& view, std::string_view name, Decode decode)
    -> Result<std::optional<decltype(decode(std::declval<Reader&>()))>> {
  auto bytes = view.get(Family::kDefault, name);
  if (!bytes) return bytes.error();
  using Value = decltype(decode(std::declval<Reader&>()));
  if (!*bytes) return std::optional<Value>();
  if ((*bytes)->empty() || static_cast<std::uint8_t>((*bytes)->front()) != kFormat) return damaged(name);
  Reader in = open(**bytes);
  Value value = decode(in);
  if (!in.done()) return damaged(name);
  return std::optional<Value>(std::move(value));
}

/// Every row whose name begins with `prefix`; decode gets the rest of the name and the bytes, and says
/// whether they make sense.
template <class Visit>
Result<void> each_row(const View& view, std::string_view prefix, Visit visit) {
  auto cursor = view.cursor(Family::kDefault);
  for (cursor->seek(prefix); cursor->valid() && cursor->key().starts_with(prefix); cursor->next()) {
    std::string_view bytes = cursor->value();
    if (bytes.empty() || static_cast<std::uint8_t>(bytes.front()) != kFormat) return damaged(cursor->key());
    Reader in = open(bytes);
    if (!visit(cursor->key().substr(prefix.size()), in) || !in.done()) return damaged(cursor->key());
  }
  return cursor->status();
}

Result<std::uint64_t> number(const View& view, std::string_view name) {
  auto value = read_row(view, name, [](Reader& in) { return in.u64(); });
  if (!value) return value.error();
  return value->value_or(0);
}

void set_number(Draft& draft, std::string_view name, std::uint64_t value) {
  draft.put(Family::kDefault, name, row().u64(value).take());
}

std::string journal_name(std::string_view prefix, const Journal& journal) {
  std::string name(prefix);
  return name.append(journal.node).append("/").append(format_hex64(journal.incarnation.value));
}

std::optional<Journal> parse_journal(std::string_view text) {
  std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  auto incarnation = parse_hex64(text.substr(slash + 1));
  if (!incarnation) return std::nullopt;
  return Journal{std::string(text.substr(0, slash)), {*incarnation}};
}

void write_journal(Writer& out, const Journal& journal) {
  out.string(journal.node).u64(journal.incarnation.value);
}
Journal read_journal(Reader& in) {
  Journal journal;
  journal.node = std::string(in.string());
  journal.incarnation = {in.u64()};
  return journal;
}

std::string encode_tick(const StoredTick& stored) {
  const Tick& tick = stored.tick;
  Writer out = row();
  out.u64(stored.seq.value).u64(stored.hlc.value).varint(tick.applied.size());
  for (const auto& [journal, applied] : tick.applied) {
    write_journal(out, journal);
    out.u64(applied.seq.value).u64(applied.hlc.value);
  }
  out.varint(tick.gaps.size());
  for (const auto& [journal, seq] : tick.gaps) {
    write_journal(out, journal);
    out.u64(seq.value);
  }
  return out.u64(tick.lowest_kept.value)
      .u64(tick.members_n)
      .raw(as_bytes(tick.members_hash))
      .u64(tick.floor.value)
      .take();
}

StoredTick decode_tick(Reader& in) {
  StoredTick stored;
  Tick& tick = stored.tick;
  stored.seq = {in.u64()};
  stored.hlc = {in.u64()};
  for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left) {
    Journal journal = read_journal(in);
    Seq seq{in.u64()};
    tick.applied[journal] = {seq, {in.u64()}};
  }
  for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left) {
    Journal journal = read_journal(in);
    tick.gaps[journal] = {in.u64()};
  }
  tick.lowest_kept = {in.u64()};
  tick.members_n = in.u64();
  std::string_view hash = in.raw(tick.members_hash.size());
  std::copy(hash.begin(), hash.end(), tick.members_hash.begin());
  tick.floor = {in.u64()};
  return stored;
}

}  // namespace

Result<std::optional<Identity>> Meta::identity(const View& view) {
  return read_row(view, "identity", [](Reader& in) {
    Identity identity;
    identity.cluster = {in.u32()};
    identity.node = std::string(in.string());
    identity.incarnation = {in.u64()};
    identity.standalone = in.u8() != 0;
    identity.installing = in.u8() != 0;
    identity.rolled_back = in.u8() != 0;
    for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left) identity.former.push_back({in.u64()});
    if (in.left() > 0) identity.next = {in.u64()};
    return identity;
  });
}

void Meta::set_identity(Draft& draft, const Identity& identity) {
  Writer out = row();
  out.u32(identity.cluster.value).string(identity.node).u64(identity.incarnation.value);
  out.u8(identity.standalone).u8(identity.installing).u8(identity.rolled_back).varint(identity.former.size());
  for (Incarnation incarnation : identity.former) out.u64(incarnation.value);
  if (identity.next.value != 0) out.u64(identity.next.value);
  draft.put(Family::kDefault, "identity", out.take());
}

Result<Hlc> Meta::hlc(const View& view) {
  return number(view, "hlc").map([](std::uint64_t v) { return Hlc{v}; });
}
void Meta::set_hlc(Draft& draft, Hlc hlc) {
  set_number(draft, "hlc", hlc.value);
}
Result<Seq> Meta::published(const View& view) {
  return number(view, "published").map([](std::uint64_t v) { return Seq{v}; });
}
void Meta::set_published(Draft& draft, Seq seq) {
  set_number(draft, "published", seq.value);
}
Result<Seq> Meta::synced(const View& view) {
  return number(view, "synced").map([](std::uint64_t v) { return Seq{v}; });
}
void Meta::set_synced(Draft& draft, Seq seq) {
  set_number(draft, "synced", seq.value);
}
Result<std::optional<Applied>> Meta::unproven(const View& view) {
  return read_row(view, "unproven", [](Reader& in) {
    Seq seq{in.u64()};
    return Applied{seq, {in.u64()}};
  });
}
void Meta::set_unproven(Draft& draft, const Applied& before) {
  draft.put(Family::kDefault, "unproven", row().u64(before.seq.value).u64(before.hlc.value).take());
}
void Meta::remove_unproven(Draft& draft) {
  draft.remove(Family::kDefault, "unproven");
}
Result<Hlc> Meta::floor(const View& view) {
  return number(view, "floor").map([](std::uint64_t v) { return Hlc{v}; });
}
void Meta::set_floor(Draft& draft, Hlc floor) {
  set_number(draft, "floor", floor.value);
}

Result<AppliedTable> Meta::applied(const View& view) {
  AppliedTable table;
  auto read = each_row(view, "applied/", [&](std::string_view name, Reader& in) {
    auto journal = parse_journal(name);
    Seq seq{in.u64()};
    Hlc hlc{in.u64()};
    if (journal) table[*journal] = {seq, hlc};
    return journal.has_value();
  });
  if (!read) return read.error();
  return table;
}
void Meta::set_applied(Draft& draft, const Journal& journal, Applied applied) {
  draft.put(Family::kDefault, journal_name("applied/", journal),
            row().u64(applied.seq.value).u64(applied.hlc.value).take());
}

Result<std::map<Journal, StoredTick>> Meta::ticks(const View& view) {
  std::map<Journal, StoredTick> ticks;
  auto read = each_row(view, "tick/", [&](std::string_view name, Reader& in) {
    auto journal = parse_journal(name);
    StoredTick tick = decode_tick(in);
    if (journal) ticks[*journal] = std::move(tick);
    return journal.has_value();
  });
  if (!read) return read.error();
  return ticks;
}
void Meta::set_tick(Draft& draft, const Journal& journal, const StoredTick& tick) {
  draft.put(Family::kDefault, journal_name("tick/", journal), encode_tick(tick));
}

Result<std::map<NodeName, ReadCursor>> Meta::cursors(const View& view) {
  std::map<NodeName, ReadCursor> cursors;
  auto read = each_row(view, "cursor/", [&](std::string_view name, Reader& in) {
    Offset next{static_cast<std::int64_t>(in.u64())};
    cursors[std::string(name)] = {next, std::string(in.string())};
    return true;
  });
  if (!read) return read.error();
  return cursors;
}
void Meta::set_cursor(Draft& draft, const NodeName& journal, const ReadCursor& cursor) {
  draft.put(Family::kDefault, "cursor/" + journal,
            row().u64(static_cast<std::uint64_t>(cursor.next.value)).string(cursor.kafka_cluster_id).take());
}
void Meta::remove_cursor(Draft& draft, const NodeName& journal) {
  draft.remove(Family::kDefault, "cursor/" + journal);
}

Result<std::vector<std::string>> Meta::members(const View& view) {
  std::vector<std::string> entries;
  auto read = each_row(view, "members/", [&](std::string_view name, Reader& in) {
    entries.emplace_back(in.rest());
    return parse_hex64(name) == entries.size();
  });
  if (!read) return read.error();
  return entries;
}
void Meta::set_member(Draft& draft, std::uint64_t n, const std::string& bytes) {
  draft.put(Family::kDefault, "members/" + format_hex64(n), row().raw(bytes).take());
}
void Meta::remove_member(Draft& draft, std::uint64_t n) {
  draft.remove(Family::kDefault, "members/" + format_hex64(n));
}

Result<AgreedEntry> Meta::members_agreed(const View& view) {
  auto read = read_row(view, "members_agreed", [](Reader& in) {
    std::uint64_t n = in.u64();
    return AgreedEntry{n, static_cast<std::int64_t>(in.u64())};
  });
  if (!read) return read.error();
  return read->value_or(AgreedEntry{});
}
void Meta::set_members_agreed(Draft& draft, const AgreedEntry& agreed) {
  draft.put(Family::kDefault, "members_agreed",
            row().u64(agreed.n).u64(static_cast<std::uint64_t>(agreed.taken)).take());
}
Result<std::optional<std::string>> Meta::own_entry(const View& view) {
  return read_row(view, "own_entry", [](Reader& in) { return std::string(in.rest()); });
}
void Meta::set_own_entry(Draft& draft, const std::string& bytes) {
  draft.put(Family::kDefault, "own_entry", row().raw(bytes).take());
}

Result<std::map<Journal, Meta::Word>> Meta::words(const View& view) {
  std::map<Journal, Word> words;
  auto read = each_row(view, "word/", [&](std::string_view name, Reader& in) {
    auto journal = parse_journal(name);
    Seq seq{in.u64()};
    std::uint64_t n = in.u64();
    if (journal) words[*journal] = {seq, n};
    return journal.has_value();
  });
  if (!read) return read.error();
  return words;
}
void Meta::set_word(Draft& draft, const Journal& journal, const Word& word) {
  draft.put(Family::kDefault, journal_name("word/", journal), row().u64(word.seq.value).u64(word.n).take());
}
void Meta::remove_word(Draft& draft, const Journal& journal) {
  draft.remove(Family::kDefault, journal_name("word/", journal));
}

}  // namespace refrain::store
