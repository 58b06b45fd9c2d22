// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire.h"

namespace refrain::server {
namespace {

using testing::HasSubstr;

TEST(DigestRoutes, TheDigestComesWithTheVectorOfItsCut) {
  Served served;
  served.node.known_digest.kept.add(0, Hash128{1});
  const auto answer = served.ask("GET", "/v1/digest");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(
      answer.body,
      HasSubstr(R"({"format":1,"buckets":4096,"node":"eu","vector":{"eu":"0000000000000007"},"kept":")"));
  EXPECT_THAT(answer.body, HasSubstr(R"("counted":null})"));
}

TEST(DigestRoutes, TheRowsAreCountedWhenAskedFor) {
  Served served;
  const auto answer = served.ask("GET", "/v1/digest?count=true");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr(R"("counted":"AAAA)"));
  EXPECT_EQ(served.ask("POST", "/v1/digest/recount").body, R"({"node":"eu","corrected":3})");
}

TEST(DigestRoutes, RowsAreGivenByBucketOrAll) {
  Served served;
  served.node.known_rows = {{"orders", "a", {Hlc{9}, "us"}, {}, false, std::nullopt}};
  const auto answer = served.ask("GET", "/v1/digest?bucket=7,4095&ns=orders");
  EXPECT_EQ(
      answer.body,
      R"({"node":"eu","vector":{"eu":"0000000000000007"},"now":"1970-01-01T00:00:00.000Z","items":[)"
      R"({"ns":"orders","key":"a","version":"0000000000000009-us","hash":"00000000000000000000000000000000",)"
      R"("deleted":false,"expires_at":null}],"after":null})");
  EXPECT_EQ(served.node.compared.buckets, (std::vector<std::uint32_t>{7, 4095}));
  EXPECT_EQ(served.node.compared.ns, "orders");
  served.ask("GET", "/v1/digest?rows=requests&ns=pay&key=a/b&limit=5&after=x");
  EXPECT_TRUE(served.node.compared.requests);
  EXPECT_EQ(served.node.compared.key, "a/b");
  EXPECT_EQ(served.node.compared.limit, 5u);
  EXPECT_EQ(served.node.compared.after, "x");
}

TEST(DigestRoutes, WhatDoesNotGoTogetherIsRefused) {
  Served served;
  for (const char* query :
       {"bucket=4096", "bucket=", "bucket=1,", "bucket=-1", "bucket=1x", "rows=all", "key=a", "rows=kv&key=a",
        "ns=a", "limit=5", "after=x", "bucket=1&rows=requests", "rows=kv&count=true", "count=perhaps"}) {
    const auto answer = served.ask("GET", std::string("/v1/digest?") + query);
    EXPECT_EQ(answer.status, 400) << query;
    EXPECT_THAT(answer.body, HasSubstr(R"("code":"invalid")")) << query;
  }
}

}  // namespace
}  // namespace refrain::server
