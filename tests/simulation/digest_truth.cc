// SPDX-License-Identifier: Apache-2.0
#include "digest_truth.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

namespace refrain::simulation {
namespace {

constexpr unsigned kBuckets = 4096;

std::string number(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> 8 * i & 0xFF);
  return text;
}

std::string hash_of(const std::vector<std::string>& fields) {
  std::string all;
  for (const std::string& field : fields) all += number(field.size(), 4) + field;
  XXH128_hash_t hash = XXH3_128bits(all.data(), all.size());
  return number(hash.high64, 8) + number(hash.low64, 8);
}

/// A stored kv row: format, flags, hlc, node, floor, context, end, value.
struct Row {
  explicit Row(std::string_view bytes) : left(bytes) {
    take(1);
    auto flags = static_cast<unsigned char>(take(1)[0]);
    hlc = take(8);
    node = take(size());
    take(8);
    for (std::uint64_t entries = size(); entries > 0; --entries) {
      take(size());
      take(8);
    }
    deleted = (flags & 1) != 0;
    expires = (flags & 2) != 0;
    if (expires) take(8);
    value = left;
  }
  std::string take(std::uint64_t bytes) {
    std::string taken(left.substr(0, bytes));
    left.remove_prefix(taken.size());
    return taken;
  }
  std::uint64_t size() {
    std::uint64_t sum = 0;
    for (int shift = 0;; shift += 7) {
      auto byte = static_cast<unsigned char>(take(1)[0]);
      sum |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return sum;
    }
  }
  std::string_view left;
  std::string hlc, node, value;
  bool deleted = false, expires = false;
};

using Buckets = std::map<unsigned, std::string>;  // those that are not zero

std::uint64_t number_in(const std::string& bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = at; i < at + size; ++i) value = value * 256 + static_cast<unsigned char>(bytes.at(i));
  return value;
}

void add(Buckets& buckets, unsigned bucket, const std::string& hash) {
  std::string& sum = buckets[bucket];
  sum.resize(16, '\0');
  for (std::size_t i = 0; i < hash.size(); ++i) sum[i] = static_cast<char>(sum[i] ^ hash[i]);
}

void drop_zeros(Buckets& buckets) {
  std::erase_if(buckets, [](const auto& entry) { return entry.second == std::string(16, '\0'); });
}

Buckets of_rows(const store::SimDisk& disk) {
  Buckets buckets;
  for (const auto& [name, bytes] : disk.rows(store::Family::kKv)) {
    Row row(bytes);
    if (row.deleted || row.expires) continue;
    std::string ns = name.substr(0, name.find('\0'));
    std::string key = name.substr(ns.size() + 1);
    std::string place = hash_of({ns, key});
    unsigned bucket =
        (static_cast<unsigned char>(place[0]) * 256u + static_cast<unsigned char>(place[1])) % kBuckets;
    std::string hash = hash_of({ns, key, row.hlc, row.node, hash_of({row.value})});
    add(buckets, bucket, hash);
  }
  drop_zeros(buckets);
  return buckets;
}

/// Row "digest": format, 4 bytes, round, all buckets. Rows "digest/...": format, round, (bucket, hash) each.
Buckets of_kept(const std::map<std::string, std::string>& rows) {
  Buckets buckets;
  auto all = rows.find("digest");
  if (all == rows.end()) return buckets;
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    std::size_t at = 13 + 16 * std::size_t{bucket};
    if (all->second.compare(at, 16, std::string(16, '\0')) != 0) buckets[bucket] = all->second.substr(at, 16);
  }
  for (auto row = rows.lower_bound("digest/"); row != rows.end() && row->first.starts_with("digest/");
       ++row) {
    if (number_in(row->second, 1, 8) != number_in(all->second, 5, 8)) continue;
    for (std::size_t at = 9; at < row->second.size(); at += 20)
      add(buckets, static_cast<unsigned>(number_in(row->second, at, 4)), row->second.substr(at + 4, 16));
  }
  drop_zeros(buckets);
  return buckets;
}

}  // namespace

std::optional<std::string> digest_misfit(const store::SimDisk& disk, bool opened) {
  auto rows = disk.rows(store::Family::kDefault);
  if (!rows.contains("digest") && !opened) return std::nullopt;
  Buckets kept = of_kept(rows);
  Buckets must = of_rows(disk);
  for (const auto& [bucket, sum] : must) {
    if (auto found = kept.find(bucket); found == kept.end() || found->second != sum)
      return fmt::format("bucket {} of the digest is not what its rows give", bucket);
  }
  for (const auto& [bucket, sum] : kept) {
    if (!must.contains(bucket))
      return fmt::format("bucket {} of the digest has no rows and is not zero", bucket);
  }
  return std::nullopt;
}

}  // namespace refrain::simulation
