// SPDX-License-Identifier: Apache-2.0
// What comes from Kafka: records of journals and entries of the members log. What is understood can be
// written again and then says the same.
#include "base/coding.h"
#include "base/hash.h"
#include "base/text.h"
#include "replication/codec.h"
#include "replication/members_entry.h"
#include "tests/fuzz/fuzz.h"

namespace refrain::replication {
namespace {

const NodeName kWriter = "eu";

void commit(std::string_view bytes) {
  auto read = decode(bytes, kWriter);
  if (!read) return REFRAIN_ASSERT(!read.error().detail.empty(), "a refusal says why");
  const store::Commit& commit = read->commit;
  REFRAIN_ASSERT(commit.node == kWriter, "a record is its topic's node's");
  REFRAIN_ASSERT(commit.seq.value != 0, "seq counts from 1");
  REFRAIN_ASSERT(commit.operations.empty() == commit.tick.has_value(), "operations or a tick");
  auto again = decode(encode(commit, read->cluster), kWriter);
  REFRAIN_ASSERT(again.has_value(), "what was read can be written and read again");
  REFRAIN_ASSERT(again->commit == commit && again->cluster == read->cluster, "and says the same");
}

void entry(std::string_view bytes) {
  auto read = decode_entry(bytes);
  if (!read) return REFRAIN_ASSERT(!read.error().detail.empty(), "a refusal says why");
  REFRAIN_ASSERT(read->bytes == bytes && read->hash == sha256(bytes), "an entry is its bytes");
  REFRAIN_ASSERT(valid_node_name(read->entry.node) && valid_node_name(read->entry.by.node),
                 "names are names");
  REFRAIN_ASSERT(read->entry.n > 0 && read->entry.cluster != ClusterId{}, "n and cluster are there");
  auto again = decode_entry(encode_entry(read->entry).bytes);
  REFRAIN_ASSERT(again.has_value(), "what was read can be written and read again");
  REFRAIN_ASSERT(again->entry == read->entry, "and says the same");
}

}  // namespace
}  // namespace refrain::replication

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refrain;
  fuzz::Input in(data, size);
  switch (in.u8() % 4) {
    case 0:
      replication::commit(in.rest());
      break;
    case 1:
      replication::entry(in.rest());
      break;
    default: {  // with the checksum that belongs to it, which no fuzzer finds
      std::string_view body = in.rest();
      Writer framed(5 + body.size());
      framed.u8(replication::kRecordFormat).u32(crc32c(body)).raw(body);
      replication::commit(framed.bytes());
    }
  }
  return 0;
}
