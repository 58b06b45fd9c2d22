// SPDX-License-Identifier: Apache-2.0
#include "idempotency/content.h"

#include <gtest/gtest.h>

#include <set>

#include "base/text.h"
#include "idempotency/http_key.h"
#include "tests/unit/idempotency/site.h"

namespace refrain::idempotency {
namespace {

using namespace std::chrono_literals;

const Version kVersion{Hlc::of({kStart}, 3), "eu"};

std::vector<Effect> effects() {
  return {{"carts", "c/1", "v", 90s, kVersion, false},
          {"carts", "c/2", std::nullopt, std::nullopt, {}, true}};
}
std::string hex(const Sha256& hash) {
  return hex_encode(as_bytes(hash));
}

// Nodes of different releases must agree on these. Worked out with Python's hashlib; never edited.
TEST(ContentHash, VectorsStayAsTheyWere) {
  EXPECT_EQ(hex(content_hash(Response{200, "text/plain", "paid"}, {})),
            "f4a2f56df7b1128c700d1bac26f03f01d1297bf039b7588b8f00436f3b068457");
  EXPECT_EQ(hex(content_hash(std::nullopt, {})),
            "47498562bb3285094e7860a9c48e30ef9c3998c7bfa2c4dc2430df33b057dfd8");
  EXPECT_EQ(hex(content_hash(Response{402, "", ""}, effects())),
            "a737982e39cbbd1e745e7e9d167f01193116f975a1409a3414f22b94f2ea6e30");
  EXPECT_EQ(hex(effects_fingerprint(effects())),
            "4a5291ae294ad50bca156958e30e1de471fd0b90f299030b013df756a8d77554");
  EXPECT_EQ(hex(effects_fingerprint({})), "4970ebe8cda6f290c122b4824c534679f4a5fe858f22b98a40a6708fe7fc3e1b");
}

TEST(ContentHash, EveryFieldCounts) {
  Response response{200, "text/plain", "paid"};
  std::set<Sha256> hashes{content_hash(response, effects()), content_hash(std::nullopt, effects()),
                          content_hash(response, {})};
  std::size_t expected = hashes.size();
  auto with_response = [&](auto change) {
    Response other = response;
    change(other);
    hashes.insert(content_hash(other, effects()));
    EXPECT_EQ(hashes.size(), ++expected);
  };
  with_response([](Response& r) { r.status = 201; });
  with_response([](Response& r) { r.content_type = "text/html"; });
  with_response([](Response& r) { r.body = "unpaid"; });
  auto with_effect_changed = [&](auto change) {
    std::vector<Effect> other = effects();
    change(other);
    hashes.insert(content_hash(response, other));
    EXPECT_EQ(hashes.size(), ++expected);
    EXPECT_NE(effects_fingerprint(other), effects_fingerprint(effects()));
  };
  with_effect_changed([](auto& e) { e[0].ns = "orders"; });
  with_effect_changed([](auto& e) { e[0].key = "c/3"; });
  with_effect_changed([](auto& e) { e[0].value = "w"; });
  with_effect_changed([](auto& e) { e[0].value = std::nullopt; });
  with_effect_changed([](auto& e) { e[1].value = ""; });
  with_effect_changed([](auto& e) { e[0].ttl = 91s; });
  with_effect_changed([](auto& e) { e[0].ttl = std::nullopt; });
  with_effect_changed([](auto& e) { e[0].if_match = std::nullopt; });
  with_effect_changed([](auto& e) { e[1].if_none_match = false; });
  with_effect_changed([](auto& e) { std::swap(e[0], e[1]); });
  with_effect_changed([](auto& e) { e.pop_back(); });
}

TEST(ContentHash, FieldsDoNotRunIntoEachOther) {
  EXPECT_NE(content_hash(Response{200, "a", "bc"}, {}), content_hash(Response{200, "ab", "c"}, {}));
  EXPECT_NE(content_hash(Response{0, "", ""}, {}), content_hash(std::nullopt, {}));
}

// ---- Idempotency-Key

TEST(HttpKey, NamespaceIsOneThatNobodyCanBeginIn) {
  EXPECT_EQ(http_namespace("carts"), "_http-carts");
  EXPECT_FALSE(valid_namespace(http_namespace("carts")));
}

TEST(HttpKey, ReceiptComesBackAsItWas) {
  Receipt receipt{{"eu", {7}, {4711}}, kVersion, {true, false, true}};
  EXPECT_EQ(decode_receipt(encode_receipt(receipt)), receipt);
  std::string bytes = encode_receipt(receipt);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(decode_receipt(bytes.substr(0, size)), std::nullopt);
  }
  EXPECT_EQ(decode_receipt(bytes + "x"), std::nullopt);
}

TEST(HttpKey, RunsOnceAndReplaysTheReceiptForADay) {
  WallMs clock{kStart};
  Site eu("eu", clock);
  Peers nobody;
  Terms terms{http_rules(), 1h, 256 * 1024};
  Receipt receipt{{"eu", eu.incarnation(), {1}}, kVersion, {true}};
  auto run = [&](const std::string& payload) {
    ExecuteCall call = http_execute("carts", "key-1", sha256(payload), effects(), receipt);
    EXPECT_EQ(call.ns, "_http-carts");
    EXPECT_EQ(call.completion.effects.size(), 2u);
    auto decision = execute(eu.row("key-1", call.ns), call, terms, {}, eu.here());
    store::Commit commit;
    commit.node = "eu";
    commit.hlc = eu.here().at;
    store::Draft draft(eu.engine());
    for (const auto& op : decision.operations) {
      EXPECT_TRUE(apply(draft, std::get<store::OutcomeOp>(op), commit).has_value());
    }
    EXPECT_TRUE(eu.engine().write(draft.take(), store::Durability::kSynced).has_value());
    return std::move(decision.answer);
  };
  Ran first = std::get<Ran>(*run("put"));
  clock = clock + 24h - 1ms;
  Replay again = std::get<Replay>(*run("put"));
  EXPECT_EQ(again.version, first.version);
  auto stored = read_response(store::Draft(eu.engine()), "_http-carts", "key-1", again.version);
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(decode_receipt(stored->body), receipt);
  EXPECT_EQ(slug(run("another put")), "fingerprint_mismatch");
  clock = clock + 1ms;
  EXPECT_TRUE(std::holds_alternative<Ran>(*run("another put")));
}

}  // namespace
}  // namespace refrain::idempotency
