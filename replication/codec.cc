// SPDX-License-Identifier: Apache-2.0
#include "replication/codec.h"

#include <google/protobuf/arena.h>

#include <array>

#include "base/coding.h"
#include "base/hash.h"
#include "base/result.h"
#include "replication/codec_wire.h"

namespace refrain::replication {
namespace {

constexpr std::size_t kFrameBytes = 5;  // format and crc

// Formats count up from 1. What begins with a larger byte is text or noise, not the future.
constexpr std::uint8_t kLastPlausibleFormat = 31;

/// One record's messages lie in a block on the stack: most need nothing from the heap but their key and
/// value.
class Scratch {
 public:
  Scratch() : arena_(options(block_)) {}
  wire::Record& record() { return *google::protobuf::Arena::CreateMessage<wire::Record>(&arena_); }

 private:
  static google::protobuf::ArenaOptions options(std::array<char, 2048>& block) {
    google::protobuf::ArenaOptions options;
    options.initial_block = block.data();
    options.initial_block_size = block.size();
    return options;
  }
  alignas(8) std::array<char, 2048> block_;
  google::protobuf::Arena arena_;
};

tl::unexpected<Undecodable> corrupt_record(std::string detail) {
  return tl::make_unexpected(Undecodable{Undecodable::Reason::kCorrupt, std::move(detail)});
}

}  // namespace

std::string encode(const store::Commit& commit, ClusterId cluster, std::uint32_t format) {
  Scratch scratch;
  wire::Record& record = scratch.record();
  to_wire(commit, cluster, record);
  if (format > 1) record.set_min_reader(format);
  std::string out(kFrameBytes + record.ByteSizeLong(), '\0');
  record.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(out.data()) + kFrameBytes);
  std::uint32_t crc = crc32c(std::string_view(out).substr(kFrameBytes));
  out[0] = static_cast<char>(kRecordFormat);
  for (int i = 0; i < 4; ++i) out[4 - i] = static_cast<char>(crc >> (8 * i));
  return out;
}

tl::expected<DecodedRecord, Undecodable> decode(std::string_view bytes, const NodeName& node,
                                                std::uint32_t reader) {
  Reader frame(bytes);
  std::uint8_t format = frame.u8();
  if (format == 0 || format > kLastPlausibleFormat)
    return corrupt_record(format == 0 ? "the record is empty or begins with a zero byte"
                                      : "the record begins with a byte that is no format");
  if (format != kRecordFormat) {
    return tl::make_unexpected(Undecodable{
        Undecodable::Reason::kNewerFormat,
        "record format " + std::to_string(format) + ", this program reads " + std::to_string(kRecordFormat)});
  }
  std::uint32_t crc = frame.u32();
  if (!frame.ok()) return corrupt_record("the record ends within its frame");
  std::string_view body = frame.rest();
  if (crc32c(body) != crc) return corrupt_record("the checksum does not fit");
  Scratch scratch;
  wire::Record& record = scratch.record();
  if (!record.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return corrupt_record("the checksum fits, but the bytes are no record");
  }
  return from_wire(record, node, reader);
}

}  // namespace refrain::replication
