// SPDX-License-Identifier: Apache-2.0
// What a run brought: the caller's response and its operations as asked for, and the hash that tells a repeat
// from another answer. Vectors stand in its test.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/types.h"

namespace refrain::idempotency {

/// The caller's, stored as it came.
struct Response {
  std::uint32_t status = 200;  // 0-999
  std::string content_type = "application/octet-stream";
  std::string body;
  bool operator==(const Response&) const = default;
};

/// One operation of a completion, as the caller asked for it.
struct Effect {
  std::string ns;
  std::string key;
  std::optional<std::string> value;  // none = delete
  std::optional<Milliseconds> ttl;
  std::optional<Version> if_match;
  bool if_none_match = false;
};

/// SHA-256, framed, over: "response" or "too_large", status (decimal), content type, body, and of each
/// operation in its order: "put" or "delete", namespace, key, value, ttl in ms (decimal, empty without),
/// if_match (text form, empty without), if_none_match ("*" or empty). Without a response its three fields are
/// empty.
Sha256 content_hash(const std::optional<Response>& response, const std::vector<Effect>& effects);

/// Of an execute whose caller gave none: SHA-256, framed, over "operations" and each operation as above.
Sha256 effects_fingerprint(const std::vector<Effect>& effects);

}  // namespace refrain::idempotency
