// SPDX-License-Identifier: Apache-2.0
#include "idempotency/token.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/text.h"

namespace refrain::idempotency {
namespace {

constexpr WallMs kNow{1'780'000'000'000};
constexpr Milliseconds kDrift{500};

Token sample() {
  Token token{{"eu", Hlc::of(kNow, 3)}, {0x1122334455667788}, {}, 0xA1A2A3A4A5A6A7A8};
  for (std::size_t i = 0; i < 16; ++i) token.fingerprint[i] = static_cast<std::uint8_t>(i);
  return token;
}
std::string slug_of(std::string_view text, std::string_view ns = "orders", std::string_view id = "o-1") {
  auto token = decode_token(text, ns, id, kNow, kDrift);
  return token ? "ok" : token.error().slug;
}

// Tokens outlive a release: they are held by clients. Never edited.
TEST(Token, BytesStayAsTheyWere) {
  EXPECT_EQ(encode_token("orders", "o-1", sample()),
            "AcQo39wtb8abAmV1ESIzRFVmd4gBnnBEiAAAAwABAgMEBQYHCAkKCwwNDg-hoqOkpaanqA");
}

RC_GTEST_PROP(Token, ComesBackAsItWas, ()) {
  Token token = sample();
  token.incarnation = {*rc::gen::arbitrary<std::uint64_t>()};
  token.bits = *rc::gen::arbitrary<std::uint64_t>();
  for (auto& byte : token.fingerprint) byte = *rc::gen::arbitrary<std::uint8_t>();
  auto decoded = decode_token(encode_token("orders", "o-1", token), "orders", "o-1", kNow, kDrift);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == token);
}

TEST(Token, OfAnotherIdOrNamespaceIsBad) {
  std::string text = encode_token("orders", "o-1", sample());
  EXPECT_EQ(slug_of(text), "ok");
  EXPECT_EQ(slug_of(text, "orders", "o-2"), "bad_token");
  EXPECT_EQ(slug_of(text, "carts", "o-1"), "bad_token");
  // Lengths stand before the parts: no two pairs share their bytes.
  EXPECT_EQ(slug_of(encode_token("ab", "c", sample()), "a", "bc"), "bad_token");
}

TEST(Token, WhoseTimeHasNotComeIsBad) {
  Token token = sample();
  token.go.go = Hlc::of(kNow + kDrift, 0xFFFF);
  EXPECT_EQ(slug_of(encode_token("orders", "o-1", token)), "ok");
  token.go.go = Hlc::of(kNow + kDrift + Milliseconds{1});
  EXPECT_EQ(slug_of(encode_token("orders", "o-1", token)), "bad_token");
}

TEST(Token, GarbageIsBad) {
  for (const char* text : {"", "x", "=", "hello world", "////", "AAAA", "\x01\x02"})
    EXPECT_EQ(slug_of(text), "bad_token");
  EXPECT_EQ(slug_of(std::string(100'000, 'A')), "bad_token");
}

TEST(Token, CutLongerOrOfAnotherVersionIsBad) {
  std::string bytes = *base64url_decode(encode_token("orders", "o-1", sample()));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(slug_of(base64url_encode(bytes.substr(0, size))), "bad_token");
  }
  EXPECT_EQ(slug_of(base64url_encode(bytes + "x")), "bad_token");
  bytes[0] = 2;
  EXPECT_EQ(slug_of(base64url_encode(bytes)), "bad_token");
}

TEST(Token, OfAnImpossibleNodeNameIsBad) {
  for (const char* node : {"", "EU", "a b", "local", "claims"}) {
    Token token = sample();
    token.go.node = node;
    EXPECT_EQ(slug_of(encode_token("orders", "o-1", token)), "bad_token") << node;
  }
}

TEST(Token, FencingNumberIsDecimal) {
  EXPECT_EQ(format_fencing({116654080000000003}), "116654080000000003");
}

}  // namespace
}  // namespace refrain::idempotency
