// SPDX-License-Identifier: Apache-2.0
// What stands on disk or comes in a snapshot: every row's decoder, and what is worked out of rows. What is
// understood can be written again and then says the same; two rows are joined to the same one in either
// order.
#include <memory>

#include "base/coding.h"
#include "base/hash.h"
#include "idempotency/http_key.h"
#include "idempotency/row.h"
#include "store/conflicts.h"
#include "store/kv.h"
#include "store/meta.h"
#include "store/outbox.h"
#include "store/requests_rows.h"
#include "store/snapshot.h"
#include "tests/fuzz/few_rows.h"
#include "tests/fuzz/fuzz.h"

namespace refrain::store {
namespace {

using fuzz::FewRows;
using fuzz::Input;

constexpr WallMs kNow{1'780'000'000'000};

void kv(Input& in) {
  auto a = decode_kv(in.part());
  if (!a) return;
  REFRAIN_ASSERT(decode_kv(encode(*a)) == a, "a record says the same again");
  auto b = decode_kv(in.rest());
  if (!b) return;
  REFRAIN_ASSERT(concurrent(*a, *b) == concurrent(*b, *a), "concurrent is symmetric");
  auto joined = join(*a, *b);
  if (!joined)
    return REFRAIN_ASSERT(a->version == b->version && !join(*b, *a), "a clone is one from both sides");
  if (a->version == b->version) return;  // of one version the floor may differ: whoever is met first stays
  REFRAIN_ASSERT(joined == join(*b, *a), "records are joined to the same in either order");
}

void join_all(RequestRow& row, const RequestRow& news) {
  idempotency::Found found;
  for (const auto& [node, claim] : news.claims)
    idempotency::join_claim(row, {"pay", "id", node, claim}, found);
  if (!news.outcome) return;
  const auto& [version, outcome, incarnation, seq] = *news.outcome;
  idempotency::join_outcome(row, {"pay", "id", outcome}, version, {version.node, incarnation, seq}, found);
}

void request(Input& in) {
  auto a = decode_request_row(in.part());
  if (!a) return;
  const std::string written = encode_request_row(*a);
  auto again = decode_request_row(written);
  REFRAIN_ASSERT(again && *again == *a, "a row says the same again");
  if (past_its_end(Family::kRequests, written, kNow)) {
    auto end = ends_at(*a);
    REFRAIN_ASSERT(end && *end <= kNow, "only what has ended is dropped");
  }
  static_cast<void>(idempotency::is_over(*a, kNow));
  static_cast<void>(idempotency::has_open_claim(*a));
  auto b = decode_request_row(in.rest());
  if (!b) return;
  RequestRow ab;
  RequestRow ba;
  join_all(ab, *a);
  const RequestRow once = ab;
  join_all(ab, *a);
  REFRAIN_ASSERT(ab == once, "news that is met twice changes nothing");
  join_all(ab, *b);
  join_all(ba, *b);
  join_all(ba, *a);
  for (const auto& [node, claim] : ab.claims) {
    const auto& other = ba.claims.at(node);
    REFRAIN_ASSERT(
        claim.go == other.go && claim.released == other.released && claim.lease_until == other.lease_until,
        "of a node's claims the same stays in either order");
  }
  REFRAIN_ASSERT(ab.claims.size() == ba.claims.size() && ab.seen_until == ba.seen_until,
                 "and nothing is lost");
  REFRAIN_ASSERT(ab.outcome.has_value() == ba.outcome.has_value(), "nor an outcome");
  if (ab.outcome) REFRAIN_ASSERT(ab.outcome->version == ba.outcome->version, "and the same one stays");
}

template <auto Decode, auto Encode>
void again(Input& in) {
  auto row = Decode(in.rest());
  if (!row) return;
  auto twice = Decode(Encode(*row));
  REFRAIN_ASSERT(twice && *twice == *row, "a row says the same again");
}

void duplicates(Input& in) {
  auto a = decode_duplicate(in.part());
  auto b = decode_duplicate(in.rest());
  if (!a) return;
  REFRAIN_ASSERT(*decode_duplicate(encode_duplicate(*a)) == *a, "an entry says the same again");
  FewRows rows;
  Draft draft(rows);
  REFRAIN_ASSERT(put_duplicate(draft, *a) == true, "the first is new");
  REFRAIN_ASSERT(put_duplicate(draft, *a) == false, "the same is not");
  if (b) REFRAIN_ASSERT(put_duplicate(draft, *b).has_value(), "any other can be put beside it");
}

/// Rows of family default under their names, as Meta reads them.
void meta(Input& in) {
  constexpr std::string_view kNames[] = {"identity",  "hlc",         "published",
                                         "own_entry", "cursor/ap",   "members/0000000000000001",
                                         "floor",     "applied/ap/", "tick/ap/0000000000000099",
                                         "synced",    "tick/ap/",    "word/ap/0000000000000099"};
  FewRows rows;
  while (!in.empty() && rows.size() < 4) {
    std::string name(kNames[in.u8() % std::size(kNames)]);
    if (name.ends_with("/ap/")) name += in.take(16);
    rows.put(Family::kDefault, name, std::string(in.part()));
  }
  FewRows written;
  Draft draft(written);
  if (auto v = Meta::identity(rows); v && *v) Meta::set_identity(draft, **v);
  if (auto v = Meta::hlc(rows)) Meta::set_hlc(draft, *v);
  if (auto v = Meta::published(rows)) Meta::set_published(draft, *v);
  if (auto v = Meta::synced(rows)) Meta::set_synced(draft, *v);
  if (auto v = Meta::floor(rows)) Meta::set_floor(draft, *v);
  auto applied = Meta::applied(rows);
  if (applied)
    for (const auto& [journal, at] : *applied) Meta::set_applied(draft, journal, at);
  auto ticks = Meta::ticks(rows);
  if (ticks)
    for (const auto& [journal, tick] : *ticks) Meta::set_tick(draft, journal, tick);
  auto cursors = Meta::cursors(rows);
  if (cursors)
    for (const auto& [journal, cursor] : *cursors) Meta::set_cursor(draft, journal, cursor);
  auto words = Meta::words(rows);
  if (words)
    for (const auto& [journal, word] : *words) Meta::set_word(draft, journal, word);
  if (auto v = Meta::members(rows); v && !v->empty()) Meta::set_member(draft, 1, v->front());
  if (auto v = Meta::own_entry(rows); v && *v) Meta::set_own_entry(draft, **v);
  written.take(draft.take());
  auto identity = Meta::identity(rows);
  if (identity) REFRAIN_ASSERT(*Meta::identity(written) == *identity, "an identity says the same again");
  if (applied) REFRAIN_ASSERT(*Meta::applied(written) == *applied, "so does what was applied");
  if (ticks) REFRAIN_ASSERT(*Meta::ticks(written) == *ticks, "so do ticks");
  if (cursors) REFRAIN_ASSERT(*Meta::cursors(written) == *cursors, "so do cursors");
  if (words) REFRAIN_ASSERT(*Meta::words(written) == *words, "so do words");
}

/// The lists and counts that walk over rows, on rows of any bytes under keys that are nearly right.
void lists(Input& in) {
  FewRows rows;
  while (!in.empty() && rows.size() < 6) {
    auto family = static_cast<Family>(in.u8() % kFamilies);
    std::string key(in.take(in.u8() % 64U));
    rows.put(family, key, std::string(in.part()));
  }
  auto requests = list_requests(rows, "pay", "", 10);
  REFRAIN_ASSERT(!requests || requests->size() <= 10, "a list keeps to its limit");
  static_cast<void>(list_open(rows, std::nullopt, 10));
  static_cast<void>(list_duplicates(rows, "", "", true, 10));
  static_cast<void>(count_duplicates(rows));
  static_cast<void>(scan(rows, "orders", "", "", 10, 1000, kNow));
  static_cast<void>(ConflictLog::list(rows, "", "", "", false, 10));
  static_cast<void>(Outbox::read(rows, {0}, 10, 1000));
  Outbox outbox;
  static_cast<void>(outbox.load(rows));
  ConflictLog conflicts({});
  if (!conflicts.load(rows)) return;
  Draft draft(rows);
  static_cast<void>(conflicts.expire(draft, kNow, 10));
}

/// Blocks of a snapshot stream with the checksums that belong to them, which no fuzzer finds.
void snapshot(Input& in) {
  std::string stream;
  while (!in.empty()) {
    bool damaged = in.u8() == 255;
    std::string_view body = in.part();
    stream +=
        Writer().u32(static_cast<std::uint32_t>(body.size())).u32(crc32c(body) ^ damaged).raw(body).take();
  }
  FewRows whole;
  FewRows pieces;
  Identity identity;
  identity.node = "us";
  auto a = std::move(*SnapshotLoader::start(whole, identity));
  auto b = std::move(*SnapshotLoader::start(pieces, identity));
  auto fed = a->feed(stream);
  const std::size_t cut = stream.size() / 2;
  bool fed_too = b->feed(std::string_view(stream).substr(0, cut)).has_value() &&
                 b->feed(std::string_view(stream).substr(cut)).has_value();
  REFRAIN_ASSERT(fed.has_value() == fed_too, "a stream is the same however it is cut");
  REFRAIN_ASSERT(a->totals() == b->totals() && a->header() == b->header(), "and says the same");
  REFRAIN_ASSERT(a->finish().has_value() == (a->complete() && fed),
                 "what came whole, and only that, is taken");
  if (!fed) REFRAIN_ASSERT(!a->feed("").has_value(), "damage is for good");
}

}  // namespace
}  // namespace refrain::store

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refrain;
  using namespace refrain::store;
  fuzz::Input in(data, size);
  constexpr void (*kTargets[])(fuzz::Input&) = {
      kv,
      request,
      duplicates,
      meta,
      lists,
      snapshot,
      again<decode_response, encode_response>,
      again<decode_conflict, static_cast<std::string (*)(const Conflict&)>(encode)>,
      again<idempotency::decode_receipt, idempotency::encode_receipt>};
  kTargets[in.u8() % std::size(kTargets)](in);
  return 0;
}
