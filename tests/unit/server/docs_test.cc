// SPDX-License-Identifier: Apache-2.0
// What the docs say is what the server does: the table of codes, the routes, their parameters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "server/openapi.h"
#include "server/problem.h"
#include "server/router.h"

namespace refrain::server {
namespace {

namespace json = boost::json;

std::string read_file(const std::string& name) {
  std::ifstream in(std::string(REFRAIN_SOURCE_DIR) + "/" + name);
  EXPECT_TRUE(in.good()) << name;
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

const json::value& document() {
  static const json::value parsed = json::parse(std::string(openapi_json()));
  return parsed;
}

const json::value& resolve(const json::value& value) {
  const auto* found = value.is_object() ? value.as_object().if_contains("$ref") : nullptr;
  if (!found) return value;
  return document().at_pointer(std::string(found->as_string()).substr(1));
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

TEST(Docs, ApiMdHasEveryCodeWithItsStatusAndNoOther) {
  const auto text = read_file("docs/api.md");
  const std::regex row(R"re(\| <a id="([a-z_]+)"></a>`([a-z_]+)` \| (\d+) \| [^|]+ \| [^|]+ \|)re");
  std::map<std::string, int> documented;
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it) {
    EXPECT_EQ((*it)[1], (*it)[2]) << "the anchor that `type` points to";
    EXPECT_TRUE(documented.emplace((*it)[1], std::stoi((*it)[3])).second) << (*it)[1];
  }
  std::map<std::string, int> served;
  for (const auto& kind : problem_kinds()) served.emplace(kind.code, kind.status);
  EXPECT_EQ(documented, served);
}

TEST(Docs, TheCodesAreThoseOfTheContract) {
  const std::map<int, std::set<std::string_view>> contract = {
      {400,
       {"invalid", "unknown_parameter", "duplicate_key", "reserved_name", "bad_token", "ack_unavailable"}},
      {404, {"not_found", "no_such_route"}},
      {405, {"method_not_allowed"}},
      {408, {"timed_out"}},
      {409,
       {"request_in_progress", "outcome_unknown", "superseded", "already_completed", "released",
        "completed_differently"}},
      {410, {"response_expired", "response_too_large"}},
      {411, {"length_required"}},
      {412, {"version_mismatch", "stale"}},
      {413, {"value_too_large", "commit_too_large", "response_over_limit"}},
      {415, {"unsupported_media_type"}},
      {421, {"wrong_node"}},
      {422, {"fingerprint_mismatch"}},
      {429, {"rate_limited"}},
      {500, {"write_uncertain"}},
      {501, {"not_in_this_version"}},
      {503,
       {"overloaded", "joining", "catching_up", "lag_too_large", "fenced", "disk_full", "store_failed",
        "clock_drift", "config_mismatch", "no_founder", "rolled_back", "members_forked", "draining"}}};
  std::map<int, std::set<std::string_view>> served;
  for (const auto& kind : problem_kinds()) served[kind.status].insert(kind.code);
  EXPECT_EQ(served, contract);
}

TEST(Docs, OpenapiIsTheFileInDocsAndListsTheSameCodes) {
  EXPECT_EQ(openapi_json(), read_file("docs/openapi.json"));
  EXPECT_EQ(document().at("openapi").as_string(), "3.1.0");
  std::set<std::string> listed;
  for (const auto& code : document().at_pointer("/components/schemas/Code/enum").as_array()) {
    listed.emplace(code.as_string());
  }
  std::set<std::string> served;
  for (const auto& kind : problem_kinds()) served.emplace(kind.code);
  EXPECT_EQ(listed, served);
}

TEST(Docs, OpenapiHasEveryRouteWithItsMethodAndParametersAndNoOther) {
  std::set<std::string> documented;
  for (const auto& path : document().at("paths").as_object()) {
    for (const auto& method : path.value().as_object()) {
      documented.insert(std::string(method.key()) + " " + std::string(path.key()));
    }
  }
  std::set<std::string> served;
  for (const auto& route : routes()) {
    const auto name = lower(route.method) + " " + std::string(route.pattern);
    SCOPED_TRACE(name);
    served.insert(name);
    if (!documented.contains(name)) continue;
    const auto& operation = document()
                                .at("paths")
                                .at(json::string_view(route.pattern.data(), route.pattern.size()))
                                .at(lower(route.method));
    std::set<std::string> query, path;
    if (const auto* parameters = operation.as_object().if_contains("parameters")) {
      for (const auto& one : parameters->as_array()) {
        const auto& parameter = resolve(one);
        const auto where = parameter.at("in").as_string();
        if (where == "query") query.emplace(parameter.at("name").as_string());
        if (where == "path") path.emplace(parameter.at("name").as_string());
      }
    }
    EXPECT_EQ(query, std::set<std::string>(route.query.begin(), route.query.end()));
    for (const auto& capture : path)
      EXPECT_NE(route.pattern.find("{" + capture + "}"), std::string_view::npos);
    EXPECT_EQ(path.size(), static_cast<std::size_t>(std::ranges::count(route.pattern, '{')));
    EXPECT_EQ(operation.as_object().contains("requestBody"), route.body != BodyKind::kNone);
  }
  EXPECT_EQ(served, documented);
}

void check_references(const json::value& value) {
  if (const auto* list = value.if_array()) {
    for (const auto& item : *list) check_references(item);
  }
  if (!value.is_object()) return;
  for (const auto& member : value.as_object()) {
    if (member.key() == "$ref") {
      boost::system::error_code ec;
      const auto pointer = std::string(member.value().as_string()).substr(1);
      EXPECT_NE(document().find_pointer(pointer, ec), nullptr) << pointer;
    }
    check_references(member.value());
  }
}

TEST(Docs, EveryReferenceInOpenapiLeadsSomewhereAndEveryPartIsUsed) {
  check_references(document());
  const std::string text(openapi_json());
  for (const auto& kind : document().at("components").as_object()) {
    for (const auto& part : kind.value().as_object()) {
      const auto reference =
          "\"#/components/" + std::string(kind.key()) + "/" + std::string(part.key()) + "\"";
      EXPECT_THAT(text, testing::HasSubstr(reference));
    }
  }
}

}  // namespace
}  // namespace refrain::server
