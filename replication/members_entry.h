// SPDX-License-Identifier: Apache-2.0
// One entry of the members log, as a plain struct and as the JSON that is its Kafka record. Pure functions,
// any thread.
//
// The bytes are the identity: an entry's hash is SHA-256 over them, so whoever repeats an entry sends the
// same bytes and never encodes it again.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/hash.h"
#include "base/types.h"
#include "replication/formats.h"

namespace refrain::replication {

inline constexpr std::size_t kMaxEntryBytes = 900 * 1024;

enum class EntryKind : std::uint8_t { kFound, kJoin, kActive, kEvict, kLeave, kLast, kUpdate };
std::string_view entry_kind_name(EntryKind kind);  // "found", "join", ...

/// What a member announces of itself.
struct MemberTraits {
  std::string region;
  std::string address;       // URL for the other nodes
  Formats formats;           // of its program
  Sha256 namespaces_hash{};  // of its rules for requests
  /// Its scopes other than local: namespace -> "home:eu"; "" = of every namespace that is not listed.
  std::map<std::string, std::string> scopes = {};
  bool operator==(const MemberTraits&) const = default;
};

/// "Of the ended incarnation `of` I have applied up to `seq`."
struct Word {
  Incarnation of;
  Seq seq;
  auto operator<=>(const Word&) const = default;
};

struct MembersEntry {
  std::uint32_t min_reader = 1;
  std::uint64_t n = 0;  // its place, from 1
  Sha256 prev{};        // hash of the entry before; zeros for the first
  ClusterId cluster;
  EntryKind kind = EntryKind::kFound;
  NodeName node;  // whom it is about
  Incarnation incarnation;
  std::optional<Incarnation> replaces;  // join
  std::vector<Word> words;              // active: one for every ended incarnation; last: exactly one
  MemberTraits traits;                  // found, join, update
  Journal by;                           // who wrote it
  WallMs at;                            // by its writer's clock; decides nothing
  bool operator==(const MembersEntry&) const = default;
};

/// An entry together with the bytes that it stands in.
struct LoggedEntry {
  MembersEntry entry;
  std::string bytes;
  Sha256 hash{};           // of the bytes
  std::int64_t taken = 0;  // when the log took the record that counted; 0 = not known
};

struct UnreadableEntry {
  enum class Reason : std::uint8_t {
    kGarbage,      // no entry of any version: never counts anywhere
    kNewerFormat,  // an entry, of a kind or format that this program does not know: the node must stop
  };
  Reason reason;
  std::string detail;
  std::optional<ClusterId> cluster;  // as far as it could be read
};

/// The incarnation that the entry makes over, if any.
std::optional<Incarnation> ended_by(const MembersEntry& entry);

/// The entry with the bytes that stand for it from now on.
LoggedEntry encode_entry(const MembersEntry& entry);

/// For a program that reads up to format `reader`.
[[nodiscard]] tl::expected<LoggedEntry, UnreadableEntry> decode_entry(std::string_view bytes,
                                                                      std::uint32_t reader = kFormats.max);

}  // namespace refrain::replication
