// SPDX-License-Identifier: Apache-2.0
#include "store/digest_rows.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "store/digest.h"
#include "store/kv.h"
#include "store/requests_rows.h"

namespace refrain::store {
namespace {

constexpr std::size_t kPassed = 5'000;

Hash128 outcome_hash(const Outcome& outcome) {
  const std::string status = std::to_string(outcome.status);
  return hash128_framed(
      {as_bytes(outcome.content_hash), status, outcome.content_type, outcome.too_large ? "too large" : ""});
}

Result<std::optional<ComparedRow>> kv_row(std::string_view row_key, std::string_view bytes,
                                          const ComparedRows& wanted) {
  auto [ns, key] = split_kv_key(row_key);
  if (!wanted.buckets.empty() &&
      std::ranges::find(wanted.buckets, digest_bucket(ns, key)) == wanted.buckets.end())
    return std::optional<ComparedRow>();
  auto fields = kv_fields(bytes);
  if (!fields) return unreadable_kv(ns, key);
  return std::optional(ComparedRow{std::string(ns),
                                   std::string(key),
                                   {fields->hlc, std::string(fields->node)},
                                   value_hash(fields->value),
                                   fields->deleted,
                                   fields->expires_at});
}

Result<std::optional<ComparedRow>> request_row(std::string_view row_key, std::string_view bytes) {
  auto row = decode_request_row(bytes);
  if (!row) return row.error();
  if (!row->outcome) return std::optional<ComparedRow>();
  auto [ns, id] = split_kv_key(row_key);
  return std::optional(ComparedRow{std::string(ns), std::string(id), row->outcome->version,
                                   outcome_hash(row->outcome->outcome), false, row->seen_until});
}

}  // namespace

Result<ComparedPage> list_compared(const View& cut, const ComparedRows& wanted) {
  auto after = base64url_decode(wanted.after);
  if (!after) return invalid("invalid", "after is none that a page gave.");
  // A zero ends the namespace, so every row of it begins so.
  const std::string every = wanted.key          ? kv_key(wanted.ns, *wanted.key)
                            : wanted.ns.empty() ? std::string()
                                                : kv_key(wanted.ns, "");
  ComparedPage page;
  auto cursor = cut.cursor(wanted.requests ? Family::kRequests : Family::kKv);
  std::size_t passed = 0;
  for (cursor->seek(std::max(every, *after)); cursor->valid(); cursor->next()) {
    const std::string_view row_key = cursor->key();
    if (wanted.key ? row_key != every : !row_key.starts_with(every)) break;
    if (!after->empty() && row_key <= *after) continue;
    auto row =
        wanted.requests ? request_row(row_key, cursor->value()) : kv_row(row_key, cursor->value(), wanted);
    if (!row) return row.error();
    if (*row) page.items.push_back(std::move(**row));
    if (wanted.key) break;
    if (++passed < kPassed && page.items.size() < wanted.limit) continue;
    page.after = base64url_encode(row_key);
    break;
  }
  if (auto status = cursor->status(); !status) return status.error();
  return page;
}

}  // namespace refrain::store
