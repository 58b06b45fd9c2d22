// SPDX-License-Identifier: Apache-2.0
// What anyone may see of a request: never its token, never its fingerprint (both together would open the
// stored response to anyone).
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/hash.h"
#include "idempotency/requests.h"

namespace refrain::idempotency {

struct Report {
  State state = State::kAbsent;
  std::uint32_t attempt = 0;
  NodeName node;  // that said go, or completed
  Scope scope;
  OnExpiry on_expiry = OnExpiry::kRetry;
  std::optional<WallMs> started_at;
  std::optional<WallMs> lease_until;  // running, unknown
  std::optional<WallMs> completed_at;
  std::optional<WallMs> response_until;
  std::optional<WallMs> seen_until;
  std::optional<bool> fingerprint_matches;  // when one was given
  struct Response {
    std::uint32_t status = 200;
    std::string content_type;
    std::uint64_t size = 0;
    bool too_large = false;
  };
  std::optional<Response> response;  // completed, seen
};

/// Nothing when the request is absent.
std::optional<Report> report(const Row& row, const RequestRules& rules,
                             const std::optional<Sha256>& fingerprint, const Here& here);

}  // namespace refrain::idempotency
