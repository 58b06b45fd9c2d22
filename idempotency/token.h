// SPDX-License-Identifier: Apache-2.0
// The claim token: what a client holds after a go, opaque to it, bound to one (namespace, id).
// base64url(u8 version | hash(ns, id) 64 bit | node | incarnation | go | fingerprint 16 bytes | 64 random
// bits)
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/operations.h"

namespace refrain::idempotency {

struct Token {
  store::GoId go;  // its fencing number is go.go
  Incarnation incarnation;
  store::Fingerprint fingerprint{};
  std::uint64_t bits = 0;  // random; the claim keeps them too
  bool operator==(const Token&) const = default;
};

std::string encode_token(std::string_view ns, std::string_view id, const Token& token);

/// kInvalid bad_token: garbage, another version, a token of another id, or a go later than now + max_drift
/// (no node can have given it). Whether it fits the claim is checked where the claim is known.
Result<Token> decode_token(std::string_view text, std::string_view ns, std::string_view id, WallMs now,
                           Milliseconds max_drift);

std::string format_fencing(Hlc go);  // decimal

/// What is kept and compared everywhere of a payload's SHA-256.
store::Fingerprint kept_part(const Sha256& fingerprint);

Error bad_token(std::string_view why);

}  // namespace refrain::idempotency
