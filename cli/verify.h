// SPDX-License-Identifier: Apache-2.0
// Whether members hold the same rows, found by asking each of them while writes go on.
//
// A difference counts only where the side with the smaller version, or with none, has everything up to the
// larger one: else the row may be on its way, and is looked at again a few times.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"
#include "cli/transport.h"

namespace refrain::cli {

/// A row as a member shows it.
struct ShownRow {
  Version version;
  std::string hash;
  bool deleted = false;
  std::optional<std::string> expires_at;  // RFC 3339, UTC: of one length, so that texts compare as times
  bool operator==(const ShownRow&) const = default;
  bool visible(const std::string& now) const { return !deleted && (!expires_at || *expires_at > now); }
};

/// What one member says of one key.
struct Said {
  Vector vector;
  std::string now;
  std::optional<ShownRow> row;
};

enum class Verdict : unsigned char { kSame, kDiffers, kMoving };
/// Tombstones, and what has expired, are the same as nothing.
Verdict judge(const std::vector<Said>& said);

struct ComparedMember {
  std::string name;
  std::string address;
  Transport* transport = nullptr;
  std::string trouble;  // why it could not be compared
  Vector vector;
  std::string kept;     // its digest, 16 bytes a bucket
  std::string counted;  // from its rows; empty = not asked
  bool compared() const { return trouble.empty(); }
  std::size_t wrong_buckets() const;
  bool fits(const std::string& ns, const std::string& key) const;
};

struct ComparedKey {
  bool request = false;
  std::string ns;
  std::string key;
  std::vector<Said> said;  // of the compared members, in their order
};

struct Comparison {
  std::vector<ComparedKey> different;
  std::vector<ComparedKey> moving;
  bool more = false;  // there is more than was looked at
};

struct Verify {
  std::vector<ComparedMember>& members;
  std::string ns;                           // only of this; empty = all
  bool deep = false;                        // every row, with those that expire, and requests
  std::function<void(Milliseconds)> pause;  // between two looks at a row on its way

  /// Asks each for its digest. `count`: for its rows counted, too.
  void ask_digests(bool count);
  Comparison compare();

 private:
  std::vector<ComparedMember*> compared();
  void compare_rows(bool requests, const std::string& bucket, Comparison& found);
  void look_closer(std::vector<ComparedKey> suspects, Comparison& found);
  bool look_at(ComparedKey& key);
};

}  // namespace refrain::cli
