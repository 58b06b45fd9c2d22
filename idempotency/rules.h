// SPDX-License-Identifier: Apache-2.0
// What is set for a namespace of requests. Plain values; defaults of docs/configuration.md.
#pragma once
#include <cstdint>
#include <string>

#include "base/types.h"

namespace refrain::idempotency {

/// Who may say go in a namespace.
struct Scope {
  enum class Kind : std::uint8_t { kLocal, kHome, kGlobal };
  Kind kind = Kind::kLocal;
  NodeName home;  // only with kHome
  bool operator==(const Scope&) const = default;
};
std::string format_scope(const Scope& scope);  // "local", "home:eu", "global"

/// What a lapsed lease means: kRetry = nobody runs it, the next begin takes over; kHold = unknown until
/// resolved.
enum class OnExpiry : std::uint8_t { kRetry, kHold };

struct RequestRules {
  Scope scope;
  Milliseconds lease{30'000};
  OnExpiry on_expiry = OnExpiry::kRetry;
  Milliseconds response_ttl{86'400'000};
  Milliseconds seen_ttl{30LL * 86'400'000};
  bool operator==(const RequestRules&) const = default;
};

/// Rules of a namespace with the node's limits.
struct Terms {
  RequestRules rules;
  Milliseconds max_lease{3'600'000};
  std::uint64_t response_bytes = 256 * 1024;
};

}  // namespace refrain::idempotency
