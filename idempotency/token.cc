// SPDX-License-Identifier: Apache-2.0
#include "idempotency/token.h"

#include <algorithm>

#include "base/coding.h"
#include "base/planted.h"
#include "base/text.h"

namespace refrain::idempotency {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMostText = 256;  // far above the longest real one

std::string_view id_part(const Hash128& hash) {
  return as_bytes(hash).substr(0, 8);
}

}  // namespace

Error bad_token(std::string_view why) {
  return invalid("bad_token", "The token " + std::string(why) +
                                  ". Send the token that begin gave for this namespace and id, unchanged.");
}

std::string encode_token(std::string_view ns, std::string_view id, const Token& token) {
  Writer out;
  out.u8(kVersion).raw(id_part(hash128_framed({ns, id}))).string(token.go.node);
  out.u64(token.incarnation.value).u64(token.go.go.value).raw(as_bytes(token.fingerprint)).u64(token.bits);
  return base64url_encode(out.bytes());
}

Result<Token> decode_token(std::string_view text, std::string_view ns, std::string_view id, WallMs now,
                           Milliseconds max_drift) {
  if (text.size() > kMostText) return bad_token("is not one of ours");
  auto bytes = base64url_decode(text);
  if (!bytes) return bad_token("is not one of ours");
  Reader in(*bytes);
  bool known = in.u8() == kVersion;
  std::string_view of = in.raw(8);
  Token token;
  token.go.node = std::string(in.string());
  token.incarnation = {in.u64()};
  token.go.go = {in.u64()};
  std::string_view fingerprint = in.raw(token.fingerprint.size());
  std::copy(fingerprint.begin(), fingerprint.end(), token.fingerprint.begin());
  token.bits = in.u64();
  if (!known || !in.done() || !valid_node_name(token.go.node)) return bad_token("is not one of ours");
  if (of != id_part(hash128_framed({ns, id})) && !REFRAIN_PLANTED(foreign_token_accepted))
    return bad_token("belongs to another request");
  if (token.go.go.wall() > now + max_drift) return bad_token("names a time that has not come");
  return token;
}

std::string format_fencing(Hlc go) {
  return std::to_string(go.value);
}

store::Fingerprint kept_part(const Sha256& fingerprint) {
  store::Fingerprint kept{};
  std::copy_n(fingerprint.begin(), kept.size(), kept.begin());
  return kept;
}

}  // namespace refrain::idempotency
