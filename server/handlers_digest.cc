// SPDX-License-Identifier: Apache-2.0
// What a node keeps and has, for comparing it with others.
#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "server/answers.h"
#include "server/arguments.h"
#include "server/door.h"
#include "server/handlers.h"
#include "server/problem.h"

namespace refrain::server {
namespace {

constexpr std::size_t kMostBuckets = 256;
constexpr std::uint32_t kMostCounts = 2;  // each keeps a state of the store from being compacted away

void write_place(JsonWriter& json, const NodeName& node, const Vector& vector) {
  json.member("node", node).key("vector").begin_object();
  for (const auto& [name, hlc] : vector) json.member(name, format_hex64(hlc.value));
  json.end_object();
}

Response digest_answer(const node::DigestReport& report) {
  JsonWriter json;
  json.begin_object().member("format", std::uint64_t{store::kDigestFormat});
  json.member("buckets", std::uint64_t{store::kDigestBuckets});
  write_place(json, report.node, report.vector);
  json.member("kept", base64_encode(report.kept.bytes())).key("counted");
  report.counted ? json.value(base64_encode(report.counted->bytes())) : json.null();
  json.end_object();
  Response response = json_response(200, json.take());
  response.with("Cache-Control", "no-store");
  return response;
}

void write_row(JsonWriter& json, const store::ComparedRow& row) {
  json.begin_object().bytes("ns", row.ns).bytes("key", row.key);
  json.key("version").value(format_version(row.version));
  json.member("hash", hex_encode(as_bytes(row.hash))).member("deleted", row.deleted);
  json.member("expires_at", row.expires_at).end_object();
}

/// "7,19"; empty when it is none.
std::vector<std::uint32_t> read_buckets(Arguments& arguments) {
  std::vector<std::uint32_t> buckets;
  const auto text = arguments.text("bucket");
  if (!text) return buckets;
  const char* at = text->data();
  const char* const end = at + text->size();
  for (;;) {
    std::uint32_t bucket = 0;
    const auto [stop, error] = std::from_chars(at, end, bucket);
    const bool good = error == std::errc() && bucket < store::kDigestBuckets && buckets.size() < kMostBuckets;
    if (!good || (stop != end && *stop != ',')) break;
    buckets.push_back(bucket);
    if (stop == end) return buckets;
    at = stop + 1;
  }
  arguments.fail(invalid("invalid", "bucket is one to 256 numbers from 0 to 4095, with a comma between."));
  return {};
}

/// Counts a part and goes on behind what came meanwhile.
void count_on(Door& door, const RequestPtr& request, std::shared_ptr<node::DigestCounting> counting,
              std::function<void(std::shared_ptr<node::DigestCounting>)> then, Reply reply,
              std::shared_ptr<void> counted) {
  if (request->gone && request->gone->load()) return;
  const auto done = counting->step();
  if (!done) return reply(problem(done.error()));
  if (*done) return then(std::move(counting));
  door.answers->push([=, &door] { count_on(door, request, counting, then, reply, counted); });
}

void count(Door& door, const RequestPtr& request,
           std::function<void(std::shared_ptr<node::DigestCounting>)> then, Reply reply) {
  if (door.digest_counts >= kMostCounts)
    return reply(problem(unavailable("overloaded", "The rows are being counted already. Ask again later.")));
  auto counting = door.api().count_digest();
  if (!counting) return reply(problem(counting.error()));
  ++door.digest_counts;
  std::shared_ptr<void> counted(nullptr, [&door](void*) { --door.digest_counts; });
  count_on(door, request, std::move(*counting), std::move(then), std::move(reply), std::move(counted));
}

}  // namespace

void show_digest(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  store::ComparedRows wanted;
  wanted.buckets = read_buckets(arguments);
  const auto rows = arguments.one_of("rows", {"kv", "requests"});
  wanted.requests = rows == "requests";
  wanted.ns = arguments.text("ns").value_or("");
  wanted.key = arguments.text("key");
  wanted.after = arguments.text("after").value_or("");
  wanted.limit = arguments.limit();
  const bool counts = arguments.flag("count");
  const bool lists = request->parameter("bucket") || !rows.empty();
  if (request->parameter("bucket") && wanted.requests)
    arguments.fail(invalid("invalid", "Requests are in no bucket: rows=requests goes without bucket."));
  if (wanted.key && (wanted.ns.empty() || !lists))
    arguments.fail(invalid("invalid", "key goes with ns and rows."));
  if (!lists && (!wanted.ns.empty() || request->parameter("after") || request->parameter("limit")))
    arguments.fail(invalid("invalid", "ns, after and limit go with bucket or rows."));
  if (lists && counts) arguments.fail(invalid("invalid", "count goes without bucket and rows."));
  if (arguments.error()) return reply(problem(*arguments.error()));
  if (counts) {
    auto then = [reply](const std::shared_ptr<node::DigestCounting>& counting) {
      reply(digest_answer(counting->report()));
    };
    return count(door, request, std::move(then), reply);
  }
  if (!lists) {
    const auto report = door.api().digest();
    return reply(report ? digest_answer(*report) : problem(report.error()));
  }
  for (;;) {
    const auto page = door.api().digest_rows(wanted);
    if (!page) return reply(problem(page.error()));
    JsonWriter json;
    write_place(json.begin_object(), page->node, page->vector);
    json.member("now", page->now).key("items").begin_array();
    const std::size_t written = write_items(json, page->items, write_row);
    json.end_array().member("after", page->after).end_object();
    if (written == page->items.size()) return reply(json_response(200, json.take()));
    wanted.limit = written;  // so that the node says where it goes on
  }
}

void recount_digest(Door& door, const RequestPtr& request, Reply reply) {
  auto then = [&door, reply](std::shared_ptr<node::DigestCounting> counting) {
    auto shown = [reply, node = counting->report().node](const Result<std::uint64_t>& corrected) {
      if (!corrected) return reply(problem(corrected.error()));
      JsonWriter json;
      json.begin_object().member("node", node).member("corrected", *corrected).end_object();
      reply(json_response(200, json.take()));
    };
    door.api().correct_digest(std::move(counting), door.answers->deliver<std::uint64_t>(std::move(shown)));
  };
  count(door, request, std::move(then), std::move(reply));
}

}  // namespace refrain::server
