// SPDX-License-Identifier: Apache-2.0
#include "node/config.h"

#include <gtest/gtest.h>

namespace refrain::node {
namespace {

TEST(RequestRules, ANamespaceThatIsNotListedHasTheDefaults) {
  RequestSettings requests;
  requests.namespaces["payments"].on_expiry = OnExpiry::kHold;
  EXPECT_EQ(requests.of("payments").on_expiry, OnExpiry::kHold);
  EXPECT_EQ(requests.of("orders"), requests.defaults);
}

TEST(RequestRules, HashIgnoresANamespaceThatOnlyRepeatsTheDefaults) {
  RequestSettings plain, listed;
  listed.namespaces["orders"] = {};
  EXPECT_EQ(rules_hash(plain), rules_hash(listed));
}

TEST(RequestRules, HashDiffersWithEveryField) {
  const RequestSettings plain;
  auto differs = [&](auto change) {
    RequestSettings changed;
    change(changed.namespaces["orders"]);
    return rules_hash(changed) != rules_hash(plain);
  };
  EXPECT_TRUE(differs([](RequestRules& r) { r.scope = {Scope::Kind::kHome, "eu"}; }));
  EXPECT_TRUE(differs([](RequestRules& r) { r.lease = Milliseconds{1}; }));
  EXPECT_TRUE(differs([](RequestRules& r) { r.on_expiry = OnExpiry::kHold; }));
  EXPECT_TRUE(differs([](RequestRules& r) { r.response_ttl = Milliseconds{1}; }));
  EXPECT_TRUE(differs([](RequestRules& r) { r.seen_ttl = Milliseconds{1}; }));
}

TEST(RequestRules, HashDiffersWithTheDefaultsAndTheName) {
  RequestSettings plain, other_defaults, orders, payments;
  other_defaults.defaults.lease = Milliseconds{1};
  orders.namespaces["orders"].lease = payments.namespaces["payments"].lease = Milliseconds{1};
  EXPECT_NE(rules_hash(plain), rules_hash(other_defaults));
  EXPECT_NE(rules_hash(orders), rules_hash(payments));
}

TEST(ScopeText, NamesTheHome) {
  EXPECT_EQ(format_scope({}), "local");
  EXPECT_EQ(format_scope({Scope::Kind::kHome, "eu"}), "home:eu");
  EXPECT_EQ(format_scope({Scope::Kind::kGlobal, ""}), "global");
}

}  // namespace
}  // namespace refrain::node
