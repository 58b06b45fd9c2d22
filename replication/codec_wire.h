// SPDX-License-Identifier: Apache-2.0
// Between a commit and its protobuf. Only the codec includes this: wire types go no further.
#pragma once
#include <string>
#include <tl/expected.hpp>

#include "base/types.h"
#include "proto/record.pb.h"
#include "replication/codec.h"
#include "store/operations.h"

namespace refrain::replication {

/// Fills an empty `out`.
void to_wire(const store::Commit& commit, ClusterId cluster, wire::Record& out);

/// Takes the bytes out of `in`.
tl::expected<DecodedRecord, Undecodable> from_wire(wire::Record& in, const NodeName& node,
                                                   std::uint32_t reader);

}  // namespace refrain::replication
