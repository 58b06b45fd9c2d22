// SPDX-License-Identifier: Apache-2.0
// Family duplicates: `i` id -> the entry; `t` time id and `k` ns 0x00 request 0x00 id -> nothing.
#include <algorithm>

#include "base/coding.h"
#include "base/text.h"
#include "store/requests_rows.h"

namespace refrain::store {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::uint8_t kPossible = 1;
constexpr std::uint8_t kLoserHash = 2;
constexpr std::uint8_t kWinnerHash = 4;
constexpr std::size_t kIdSize = sizeof(DuplicateId);

Error damaged() {
  return corrupt(
      "An entry of the list of duplicates cannot be read. Move the data directory aside and rebuild the node "
      "from its peers.");
}

std::string id_row(std::string_view id) {
  return "i" + std::string(id);
}
std::string time_row(WallMs at, std::string_view id) {
  return Writer()
      .raw("t")
      .u64(static_cast<std::uint64_t>(std::max<std::int64_t>(at.value, 0)))
      .raw(id)
      .take();
}
std::string place_prefix(std::string_view ns) {
  return ns.empty() ? "k" : "k" + request_key(ns, "");
}
std::string place_row(const Duplicate& duplicate, std::string_view id) {
  std::string row = "k" + request_key(duplicate.ns, duplicate.id);
  row.push_back('\0');
  return row.append(id);
}

Sha256 read_hash(Reader& in) {
  Sha256 hash{};
  std::string_view bytes = in.raw(hash.size());
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

std::string number(Hlc hlc) {
  return Writer().u64(hlc.value).take();
}

std::optional<Sha256> either(const std::optional<Sha256>& a, const std::optional<Sha256>& b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

bool later(const GoId& a, const GoId& b) {
  return std::tie(a.go, a.node) > std::tie(b.go, b.node);
}

Duplicate joined(const Duplicate& a, const Duplicate& b) {
  Duplicate out = later(a.winner, b.winner) ? a : b;
  if (a.winner == b.winner) out.winner_hash = either(a.winner_hash, b.winner_hash);
  out.loser_hash = either(a.loser_hash, b.loser_hash);
  out.detected_at = std::min(a.detected_at, b.detected_at);
  return out;
}

void count(DuplicateCounts& counts, const Duplicate& duplicate) {
  (duplicate.possible ? counts.possible : counts.certain) += 1;
}

Result<std::optional<Duplicate>> decoded(Result<std::optional<std::string>> bytes) {
  if (!bytes) return bytes.error();
  if (!*bytes) return std::optional<Duplicate>();
  auto duplicate = decode_duplicate(**bytes);
  if (!duplicate) return duplicate.error();
  return std::optional<Duplicate>(std::move(*duplicate));
}

}  // namespace

DuplicateId duplicate_id(const Duplicate& d) {
  if (!d.possible) return hash128_framed({d.ns, d.id, d.loser.node, number(d.loser.go)});
  return hash128_framed({d.ns, d.id, d.loser.node, number(d.loser.go), d.winner.node, number(d.winner.go)});
}

std::string format_duplicate_id(const DuplicateId& id) {
  return hex_encode(as_bytes(id));
}

std::string encode_duplicate(const Duplicate& d) {
  Writer out;
  int flags =
      (d.possible ? kPossible : 0) | (d.loser_hash ? kLoserHash : 0) | (d.winner_hash ? kWinnerHash : 0);
  out.u8(kFormat).u8(static_cast<std::uint8_t>(flags)).string(d.ns).string(d.id);
  out.string(d.loser.node).u64(d.loser.go.value).string(d.winner.node).u64(d.winner.go.value);
  if (d.loser_hash) out.raw(as_bytes(*d.loser_hash));
  if (d.winner_hash) out.raw(as_bytes(*d.winner_hash));
  return out.u64(static_cast<std::uint64_t>(d.detected_at.value)).take();
}

Result<Duplicate> decode_duplicate(std::string_view bytes) {
  Reader in(bytes);
  Duplicate d;
  bool known = in.u8() == kFormat;
  std::uint8_t flags = in.u8();
  d.possible = flags & kPossible;
  d.ns = std::string(in.string());
  d.id = std::string(in.string());
  d.loser.node = std::string(in.string());
  d.loser.go = {in.u64()};
  d.winner.node = std::string(in.string());
  d.winner.go = {in.u64()};
  if (flags & kLoserHash) d.loser_hash = read_hash(in);
  if (flags & kWinnerHash) d.winner_hash = read_hash(in);
  d.detected_at = {static_cast<std::int64_t>(in.u64())};
  if (!known || flags > 7 || !in.done()) return damaged();
  return d;
}

Result<bool> put_duplicate(Draft& draft, const Duplicate& duplicate) {
  DuplicateId hash = duplicate_id(duplicate);
  std::string_view id = as_bytes(hash);
  auto known = draft.get(Family::kDuplicates, id_row(id));
  if (!known) return known.error();
  Duplicate kept = duplicate;
  if (*known) {
    auto before = decode_duplicate(**known);
    if (!before) return before.error();
    kept = joined(*before, duplicate);
    if (kept == *before) return false;
    draft.remove(Family::kDuplicates, time_row(before->detected_at, id));
  }
  draft.put(Family::kDuplicates, id_row(id), encode_duplicate(kept));
  draft.put(Family::kDuplicates, time_row(kept.detected_at, id), "");
  draft.put(Family::kDuplicates, place_row(kept, id), "");
  return !known->has_value();
}

Result<std::optional<Duplicate>> get_duplicate(const Draft& draft, const DuplicateId& id) {
  return decoded(draft.get(Family::kDuplicates, id_row(as_bytes(id))));
}
Result<std::optional<Duplicate>> get_duplicate(const View& view, const DuplicateId& id) {
  return decoded(view.get(Family::kDuplicates, id_row(as_bytes(id))));
}

Result<DuplicatePage> list_duplicates(const View& view, std::string_view ns, std::string_view after,
                                      bool possible, std::size_t limit) {
  std::string prefix = place_prefix(ns);
  std::string begin = prefix;
  if (!after.empty()) {
    auto place = base64url_decode(after);
    if (!place || !place->starts_with(prefix)) return invalid("invalid", "`after` is not from this list.");
    begin = *place;
  }
  constexpr std::size_t kPassedOver = 10'000;
  DuplicatePage page;
  std::size_t passed_over = 0;
  std::string last;
  auto cursor = view.cursor(Family::kDuplicates);
  for (cursor->seek(begin); cursor->valid() && cursor->key().starts_with(prefix); cursor->next()) {
    std::string_view key = cursor->key();
    if ((!after.empty() && key == begin) || key.size() < kIdSize) continue;
    DuplicateId id;
    std::copy(key.end() - kIdSize, key.end(), id.begin());
    auto duplicate = get_duplicate(view, id);
    if (!duplicate) return duplicate.error();
    if (!*duplicate || ((*duplicate)->possible && !possible)) {
      if (++passed_over < kPassedOver) continue;
      page.after = base64url_encode(key);
      break;
    }
    if (page.items.size() == limit) {
      page.after = base64url_encode(last);
      break;
    }
    page.items.push_back({id, std::move(**duplicate)});
    last = std::string(key);
  }
  if (auto status = cursor->status(); !status) return status.error();
  return page;
}

Result<DuplicateCounts> count_duplicates(const View& view) {
  DuplicateCounts counts;
  auto cursor = view.cursor(Family::kDuplicates);
  for (cursor->seek("i"); cursor->valid() && cursor->key().starts_with("i"); cursor->next()) {
    auto duplicate = decode_duplicate(cursor->value());
    if (!duplicate) return duplicate.error();
    count(counts, *duplicate);
  }
  if (auto status = cursor->status(); !status) return status.error();
  return counts;
}

Result<DuplicateCounts> drop_duplicates(Draft& draft, WallMs before, std::size_t most) {
  DuplicateCounts dropped;
  std::string end = time_row(before, "");
  auto cursor = draft.view().cursor(Family::kDuplicates);
  for (cursor->seek("t");
       cursor->valid() && cursor->key().starts_with("t") && cursor->key() < end && most > 0;
       cursor->next(), --most) {
    std::string id(cursor->key().substr(9));
    auto bytes = draft.get(Family::kDuplicates, id_row(id));
    if (!bytes) return bytes.error();
    draft.remove(Family::kDuplicates, cursor->key());
    if (!*bytes) continue;  // gone already in this draft
    auto duplicate = decode_duplicate(**bytes);
    if (!duplicate) return duplicate.error();
    if (time_row(duplicate->detected_at, id) != cursor->key()) continue;  // moved in this draft
    count(dropped, *duplicate);
    draft.remove(Family::kDuplicates, id_row(id));
    draft.remove(Family::kDuplicates, place_row(*duplicate, id));
  }
  if (auto status = cursor->status(); !status) return status.error();
  return dropped;
}

}  // namespace refrain::store
