// SPDX-License-Identifier: Apache-2.0
// Session tokens: the vector that a client has seen, opaque to it. base64url(u8 version | node -> hlc).
#pragma once
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/types.h"

namespace refrain::store {

inline constexpr std::size_t kMaxSessionNodes = 256;     // a token that names more is refused
inline constexpr std::size_t kMaxSessionBytes = 16'384;  // of the text

std::string encode_session(const Vector& seen);
/// nullopt = damaged, too large, or of a format that this program does not read.
std::optional<Vector> decode_session(std::string_view text);

/// Entry by entry the larger.
void join(Vector& into, const Vector& other);
/// What `have` lacks of `wanted`. Nodes in `gone` (evicted) count as covered.
Vector missing(const Vector& have, const Vector& wanted, const std::set<NodeName>& gone);
inline bool covers(const Vector& have, const Vector& wanted, const std::set<NodeName>& gone) {
  return missing(have, wanted, gone).empty();
}

}  // namespace refrain::store
