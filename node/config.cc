// SPDX-License-Identifier: Apache-2.0
#include "node/config.h"

#include "base/coding.h"

namespace refrain::node {
namespace {

std::string encode(const RequestRules& rules) {
  auto ms = [](Milliseconds d) { return static_cast<std::uint64_t>(d.count()); };
  return Writer{}
      .string(format_scope(rules.scope))
      .u64(ms(rules.lease))
      .u8(static_cast<std::uint8_t>(rules.on_expiry))
      .u64(ms(rules.response_ttl))
      .u64(ms(rules.seen_ttl))
      .take();
}

}  // namespace

Sha256 rules_hash(const RequestSettings& requests) {
  Writer all;
  all.string(encode(requests.defaults));
  for (const auto& [name, rules] : requests.namespaces)
    if (rules != requests.defaults) all.string(name).string(encode(rules));
  return sha256_framed({"refrain request rules", all.bytes()});
}

}  // namespace refrain::node
