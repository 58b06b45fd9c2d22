// SPDX-License-Identifier: Apache-2.0
// A commit as the value of a Kafka record: u8 format | u32 crc32c of the rest | protobuf
// (proto/record.proto). Pure functions, any thread. What encode() gives is kept in the outbox and never made
// again for the same commit.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "base/types.h"
#include "replication/formats.h"
#include "store/operations.h"

namespace refrain::replication {

inline constexpr std::uint8_t kRecordFormat = 1;  // of the frame: its first byte

struct DecodedRecord {
  store::Commit commit;
  ClusterId cluster;
};

/// Why bytes are no commit for us. The journal parks with that reason; a record is never passed over.
struct Undecodable {
  enum class Reason : std::uint8_t {
    kCorrupt,      // damaged, or never was a record
    kNewerFormat,  // whole, but written for a newer reader: unknown format, min_reader or operation kind
  };
  Reason reason;
  std::string detail;
};

/// The bytes of a commit for readers of that format and newer ones. It has operations or a tick, exactly one
/// of them; its contexts do not name its own node.
std::string encode(const store::Commit& commit, ClusterId cluster, std::uint32_t format = 1);

/// The commit in a record of the journal topic of `node`, for a program that reads up to format `reader`.
/// What it gives, encode() can write again.
[[nodiscard]] tl::expected<DecodedRecord, Undecodable> decode(std::string_view bytes, const NodeName& node,
                                                              std::uint32_t reader = kFormats.max);

}  // namespace refrain::replication
