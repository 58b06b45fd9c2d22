// SPDX-License-Identifier: Apache-2.0
#include "cli/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/json_access.h"
#include "store/digest.h"

namespace refrain::cli {
namespace {

constexpr std::size_t kHashBytes = 16;
constexpr std::size_t kMostBuckets = 256;  // with more, all rows are asked for
constexpr std::size_t kMostSuspects = 1'000;
constexpr int kLooks = 6;
constexpr Milliseconds kBetweenLooks{300};

/// The body, or none and why in `trouble`.
std::optional<json::value> asked(ComparedMember& member, const Call& call) {
  auto answer = member.transport->call(call);
  if (!answer) {
    member.trouble = answer.error().why;
    return std::nullopt;
  }
  boost::system::error_code error;
  json::value body = json::parse(answer->body, error);
  if (!error && answer->status == 200) return body;
  member.trouble = error ? fmt::format("it answered {}", answer->status) : text(body, "detail");
  return std::nullopt;
}

Vector vector_of(const json::value& body) {
  Vector vector;
  const json::value* said = member(body, "vector");
  if (!said || !said->is_object()) return vector;
  for (const auto& [node, hlc] : said->get_object()) {
    if (hlc.is_string()) vector[std::string(node)] = {parse_hex64(hlc.get_string()).value_or(0)};
  }
  return vector;
}

struct KeyedRow {
  std::string ns;
  std::string key;
  ShownRow row;
  std::string place() const { return ns + '\0' + key; }
};

KeyedRow row_of(const json::value& item) {
  KeyedRow row{bytes(item, "ns"), bytes(item, "key"), {}};
  row.row.version = parse_version(text(item, "version")).value_or(Version{});
  row.row.hash = text(item, "hash");
  row.row.deleted = truth(item, "deleted");
  if (member(item, "expires_at")) row.row.expires_at = text(item, "expires_at");
  return row;
}

/// The rows of one member, page by page.
class Rows {
 public:
  Rows(ComparedMember& from, Target target) : from_(from), target_(std::move(target)) {}
  /// Null at the end, or when the member answers no more.
  const KeyedRow* peek() {
    while (at_ == page_.size() && !ended_) fetch();
    return at_ < page_.size() ? &page_[at_] : nullptr;
  }
  void next() { ++at_; }
  const std::string& now() const { return now_; }

 private:
  void fetch() {
    Call call;
    call.target = after_.empty() ? target_.text() : Target(target_).with("after", after_).text();
    page_.clear();
    at_ = 0;
    auto body = asked(from_, call);
    ended_ = !body || !member(*body, "after");
    if (!body) return;
    for (const json::value& item : list(*body, "items")) page_.push_back(row_of(item));
    after_ = text(*body, "after");
    now_ = text(*body, "now");
  }
  ComparedMember& from_;
  Target target_;
  std::string after_;
  std::string now_;
  std::vector<KeyedRow> page_;
  std::size_t at_ = 0;
  bool ended_ = false;
};

std::string_view bucket_in(const std::string& digest, std::uint32_t bucket) {
  return std::string_view(digest).substr(bucket * kHashBytes, kHashBytes);
}

}  // namespace

Verdict judge(const std::vector<Said>& said) {
  std::string now;
  const ShownRow* largest = nullptr;
  for (const Said& one : said) {
    now = std::max(now, one.now);
    if (one.row && (!largest || largest->version < one.row->version)) largest = &*one.row;
  }
  if (!largest) return Verdict::kSame;
  Verdict verdict = Verdict::kSame;
  for (const Said& one : said) {
    if (one.row ? *one.row == *largest : !largest->visible(now)) continue;
    if (one.row && one.row->version == largest->version) return Verdict::kDiffers;
    auto reached = one.vector.find(largest->version.node);
    if (reached != one.vector.end() && reached->second >= largest->version.hlc) return Verdict::kDiffers;
    verdict = Verdict::kMoving;
  }
  return verdict;
}

std::size_t ComparedMember::wrong_buckets() const {
  std::size_t wrong = 0;
  for (std::uint32_t bucket = 0; !counted.empty() && bucket < store::kDigestBuckets; ++bucket)
    wrong += bucket_in(kept, bucket) != bucket_in(counted, bucket) ? 1 : 0;
  return wrong;
}

bool ComparedMember::fits(const std::string& ns, const std::string& key) const {
  std::uint32_t bucket = store::digest_bucket(ns, key);
  return counted.empty() || bucket_in(kept, bucket) == bucket_in(counted, bucket);
}

std::vector<ComparedMember*> Verify::compared() {
  std::vector<ComparedMember*> those;
  for (ComparedMember& member : members) {
    if (member.compared()) those.push_back(&member);
  }
  return those;
}

void Verify::ask_digests(bool count) {
  for (ComparedMember* member : compared()) {
    Call call;
    call.target = count ? "/v1/digest?count=true" : "/v1/digest";
    if (count) call.wait = Milliseconds{30'000};
    auto body = asked(*member, call);
    if (!body) continue;
    member->vector = vector_of(*body);
    member->kept = base64_decode(text(*body, "kept")).value_or("");
    member->counted = base64_decode(text(*body, "counted")).value_or("");
    const bool ours = number_or_zero(*body, "format") == store::kDigestFormat &&
                      member->kept.size() == store::kDigestBuckets * kHashBytes;
    if (!ours) member->trouble = "its digest is of another version: use its own program";
  }
}

Comparison Verify::compare() {
  Comparison found;
  if (deep) {
    compare_rows(false, "", found);
    compare_rows(true, "", found);
    return found;
  }
  auto those = compared();
  std::string buckets;
  std::size_t different = 0;
  for (std::uint32_t bucket = 0; !those.empty() && bucket < store::kDigestBuckets; ++bucket) {
    auto first = bucket_in(those.front()->kept, bucket);
    if (std::ranges::all_of(those, [&](auto* member) { return bucket_in(member->kept, bucket) == first; }))
      continue;
    ++different;
    buckets += fmt::format("{}{}", buckets.empty() ? "" : ",", bucket);
  }
  if (different > 0) compare_rows(false, different > kMostBuckets ? "" : buckets, found);
  return found;
}

/// Goes through the rows of all members side by side. What differs at first sight is looked at again.
void Verify::compare_rows(bool requests, const std::string& bucket, Comparison& found) {
  std::vector<Rows> streams;
  for (ComparedMember* member : compared()) {
    Target target("/v1/digest");
    bucket.empty() ? target.with("rows", requests ? "requests" : "kv") : target.with("bucket", bucket);
    if (!ns.empty()) target.with("ns", ns);
    streams.emplace_back(*member, target.with("limit", "1000"));
  }
  std::vector<ComparedKey> suspects;
  for (;;) {
    const KeyedRow* least = nullptr;
    for (Rows& stream : streams) {
      const KeyedRow* row = stream.peek();
      if (row && (!least || row->place() < least->place())) least = row;
    }
    if (!least) break;
    const KeyedRow first = *least;
    // A row that expires is compared by --deep only: it is in no digest.
    bool suspect = false;
    bool expires = true;
    for (Rows& stream : streams) {
      const KeyedRow* row = stream.peek();
      const bool here = row && row->place() == first.place();
      suspect = suspect || (here ? row->row != first.row : first.row.visible(stream.now()));
      expires = expires && (!here || row->row.expires_at);
      if (here) stream.next();
    }
    if (!suspect || (expires && !deep)) continue;
    suspects.push_back({requests, first.ns, first.key, {}});
    if (suspects.size() < kMostSuspects) continue;
    found.more = true;
    break;
  }
  look_closer(std::move(suspects), found);
}

/// False: one of the members answers no more.
bool Verify::look_at(ComparedKey& key) {
  key.said.clear();
  for (ComparedMember* member : compared()) {
    Call call;
    call.target = Target("/v1/digest")
                      .with("rows", key.request ? "requests" : "kv")
                      .with("ns", key.ns)
                      .with("key", key.key)
                      .text();
    auto body = asked(*member, call);
    if (!body) return false;
    Said said{vector_of(*body), text(*body, "now"), std::nullopt};
    for (const json::value& item : list(*body, "items")) said.row = row_of(item).row;
    if (key.request && said.row && *said.row->expires_at <= said.now) said.row.reset();
    if (key.request && said.row) said.row->expires_at = "9";  // the largest met: no part of the outcome
    key.said.push_back(std::move(said));
  }
  return true;
}

void Verify::look_closer(std::vector<ComparedKey> suspects, Comparison& found) {
  for (int look = 1; !suspects.empty(); ++look) {
    std::vector<ComparedKey> moving;
    for (ComparedKey& key : suspects) {
      if (!look_at(key) && !look_at(key)) return;  // once more without the one that is away
      Verdict verdict = judge(key.said);
      if (verdict == Verdict::kDiffers) found.different.push_back(std::move(key));
      if (verdict == Verdict::kMoving) moving.push_back(std::move(key));
    }
    suspects = std::move(moving);
    if (suspects.empty()) return;
    if (look == kLooks) break;
    pause(kBetweenLooks);
  }
  std::ranges::move(suspects, std::back_inserter(found.moving));
}

}  // namespace refrain::cli
