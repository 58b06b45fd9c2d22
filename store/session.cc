// SPDX-License-Identifier: Apache-2.0
#include "store/session.h"

#include <algorithm>

#include "base/coding.h"
#include "base/text.h"

namespace refrain::store {
namespace {
constexpr std::uint8_t kFormat = 1;
}

std::string encode_session(const Vector& seen) {
  Writer out;
  out.u8(kFormat);
  for (const auto& [node, hlc] : seen) out.string(node).u64(hlc.value);
  return base64url_encode(out.bytes());
}

std::optional<Vector> decode_session(std::string_view text) {
  if (text.size() > kMaxSessionBytes) return std::nullopt;
  auto bytes = base64url_decode(text);
  if (!bytes) return std::nullopt;
  Reader in(*bytes);
  if (in.u8() != kFormat) return std::nullopt;
  Vector seen;
  while (in.ok() && in.left() > 0) {
    NodeName node(in.string());
    Hlc hlc{in.u64()};
    bool rises = seen.empty() || seen.rbegin()->first < node;  // so that a vector has one form
    if (!in.ok() || !valid_node_name(node) || !rises || seen.size() == kMaxSessionNodes) return std::nullopt;
    seen.emplace_hint(seen.end(), std::move(node), hlc);
  }
  if (!in.done()) return std::nullopt;
  return seen;
}

void join(Vector& into, const Vector& other) {
  for (const auto& [node, hlc] : other) {
    Hlc& entry = into[node];
    entry = std::max(entry, hlc);
  }
}

Vector missing(const Vector& have, const Vector& wanted, const std::set<NodeName>& gone) {
  Vector lacking;
  for (const auto& [node, hlc] : wanted) {
    if (gone.contains(node)) continue;
    auto found = have.find(node);
    if (found == have.end() || found->second < hlc) lacking.emplace_hint(lacking.end(), node, hlc);
  }
  return lacking;
}

}  // namespace refrain::store
