// SPDX-License-Identifier: Apache-2.0
#include "store/session.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/text.h"

namespace refrain::store {
namespace {

TEST(Session, ATokenGivesBackTheVector) {
  Vector seen = {{"ap", {1}}, {"eu", {0xFFFFFFFFFFFFFFFF}}, {"us", {0}}};
  EXPECT_EQ(decode_session(encode_session(seen)), seen);
  EXPECT_EQ(decode_session(encode_session({})), Vector{});
}

TEST(Session, TheFirstFormatsBytesStay) {
  EXPECT_EQ(encode_session({{"eu", {0x0102030405060708}}}), "AQJldQECAwQFBgcI");
}

TEST(Session, WhatNoNodeGaveIsRefused) {
  std::string good = encode_session({{"eu", {7}}, {"us", {9}}});
  EXPECT_FALSE(decode_session(""));
  EXPECT_FALSE(decode_session("@@@@"));
  for (std::size_t size = 1; size < good.size(); ++size) {
    auto decoded = decode_session(good.substr(0, size));
    EXPECT_TRUE(!decoded || decoded->size() < 2) << size;
  }
  EXPECT_FALSE(decode_session(base64url_encode(std::string("\x02", 1))));  // another format
  EXPECT_FALSE(decode_session(base64url_encode(std::string("\x01\x02"
                                                           "EU") +
                                               std::string(8, 0))));  // no node name
  std::string entry = std::string(
                          "\x02"
                          "eu") +
                      std::string(8, 0);
  EXPECT_FALSE(decode_session(base64url_encode("\x01" + entry + entry)));  // a node twice
}

TEST(Session, TheNumberOfNodesIsBounded) {
  Vector many;
  for (std::size_t i = 0; i < kMaxSessionNodes; ++i) many["n" + std::to_string(i)] = {i};
  EXPECT_EQ(decode_session(encode_session(many)), many);
  many["one-more"] = {1};
  EXPECT_FALSE(decode_session(encode_session(many)));
  EXPECT_FALSE(decode_session(std::string(kMaxSessionBytes + 1, 'A')));
}

TEST(Session, CoveredMeansEachEntryIsReachedSaveOfThoseThatAreGone) {
  Vector have = {{"eu", {5}}, {"us", {3}}};
  EXPECT_TRUE(covers(have, {{"eu", {5}}}, {}));
  EXPECT_TRUE(covers(have, {}, {}));
  EXPECT_EQ(missing(have, {{"eu", {6}}, {"ap", {1}}, {"us", {3}}}, {}), (Vector{{"ap", {1}}, {"eu", {6}}}));
  EXPECT_TRUE(covers(have, {{"ap", {1}}}, {"ap"}));
}

TEST(Session, JoinTakesTheLargerOfEachEntry) {
  Vector into = {{"eu", {5}}, {"us", {3}}};
  join(into, {{"eu", {4}}, {"us", {9}}, {"ap", {1}}});
  EXPECT_EQ(into, (Vector{{"ap", {1}}, {"eu", {5}}, {"us", {9}}}));
}

RC_GTEST_PROP(Session, AnyBytesAreReadOrRefused, (const std::string& bytes)) {
  auto decoded = decode_session(base64url_encode("\x01" + bytes));
  if (decoded) RC_ASSERT(encode_session(*decoded) == base64url_encode("\x01" + bytes));
}

}  // namespace
}  // namespace refrain::store
