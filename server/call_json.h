// SPDX-License-Identifier: Apache-2.0
// The parts of JSON bodies that several calls share.
#pragma once
#include <optional>
#include <vector>

#include "node/node.h"
#include "server/json_reader.h"

namespace refrain::server {

/// `operations: [{put: {…}} | {delete: {…}}]`, checked against the limits and for a key that stands twice.
/// Absent = none. `extra_bytes` count towards the commit's limit too (a response).
std::vector<node::Write> read_operations(ObjectReader& body, const node::Limits& limits,
                                         std::uint64_t extra_bytes = 0);

/// `response` and `too_large` into `call`: exactly one of them says what the outcome is.
void read_response(ObjectReader& body, const node::Limits& limits,
                   std::optional<node::StoredResponse>& response, bool& too_large);

}  // namespace refrain::server
