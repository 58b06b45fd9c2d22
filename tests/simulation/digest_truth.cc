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
    std::string& sum = buckets[bucket];
    sum.resize(hash.size(), '\0');
    for (std::size_t i = 0; i < hash.size(); ++i) sum[i] = static_cast<char>(sum[i] ^ hash[i]);
  }
  std::erase_if(buckets, [](const auto& entry) { return entry.second == std::string(16, '\0'); });
  return buckets;
}

}  // namespace

std::optional<std::string> digest_misfit(const store::SimDisk& disk, bool opened) {
  auto rows = disk.rows(store::Family::kDefault);
  if (!rows.contains("digest") && !opened) return std::nullopt;
  Buckets kept;
  for (auto row = rows.lower_bound("digest/"); row != rows.end() && row->first.starts_with("digest/");
       ++row) {
    std::string sum = row->second.substr(1);
    if (sum != std::string(16, '\0'))
      kept[static_cast<unsigned>(std::stoul(row->first.substr(7), nullptr, 16))] = sum;
  }
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
