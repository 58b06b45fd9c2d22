// SPDX-License-Identifier: Apache-2.0
// The JSON bodies of the API, through the server's own handlers to a node that takes everything: what reaches
// the node is within the limits, and what goes back is JSON under a head without lines of a caller.
#include <boost/json.hpp>
#include <set>

#include "base/text.h"
#include "server/arguments.h"
#include "server/door.h"
#include "server/json_reader.h"
#include "server/router.h"
#include "tests/fuzz/answer_head.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/server/fake_node.h"

namespace refrain::server {
namespace {

struct World {
  World() {
    door.answers = std::make_shared<AnswerQueue>([] {});
    door.node = &node;
    // So small that a short body can pass them.
    node.known_limits.key_bytes = 32;
    node.known_limits.value_bytes = 64;
    node.known_limits.commit_bytes = 128;
    node.known_limits.response_bytes = 64;
    for (const Route& route : routes()) {
      if (route.body == BodyKind::kJson || route.body == BodyKind::kSmall) with_json.push_back(&route);
    }
  }
  void forget() {
    node.keys.clear();
    node.commits.clear();
    node.completions.clear();
    node.resolutions.clear();
    node.next_hlc = 100;
  }
  FakeNode node;
  Door door;
  std::vector<const Route*> with_json;
};

World& world() {
  static World made;
  return made;
}

void check_writes(const std::vector<node::Write>& writes, std::uint64_t extra_bytes) {
  const node::Limits& limits = world().node.known_limits;
  std::set<std::pair<std::string, std::string>> keys;
  std::uint64_t bytes = extra_bytes;
  for (const node::Write& write : writes) {
    REFRAIN_ASSERT(valid_namespace(write.ns) && valid_key(write.key, limits.key_bytes), "a place is a place");
    REFRAIN_ASSERT(!write.value || write.value->size() <= limits.value_bytes,
                   "a value is within limits.value");
    REFRAIN_ASSERT(!write.ttl || (write.ttl->count() > 0 && *write.ttl <= kMaxTtl),
                   "a ttl is within its bounds");
    REFRAIN_ASSERT(!write.condition.if_match || !write.condition.if_none_match, "one condition");
    REFRAIN_ASSERT(keys.emplace(write.ns, write.key).second, "a commit names a key once");
    bytes += write.ns.size() + write.key.size() + (write.value ? write.value->size() : 0);
  }
  REFRAIN_ASSERT(bytes <= limits.commit_bytes, "a commit is within limits.commit");
}

void check_calls() {
  const FakeNode& node = world().node;
  for (const auto& call : node.commits) check_writes(call.writes, 0);
  for (const auto& call : node.completions) {
    check_writes(call.writes, call.response ? call.response->body.size() : 0);
    REFRAIN_ASSERT(call.response.has_value() != call.too_large, "a response, or too large for one");
    if (!call.response) continue;
    REFRAIN_ASSERT(call.response->status <= 999, "a status has three digits");
    REFRAIN_ASSERT(call.response->body.size() <= node.known_limits.response_bytes, "within limits.response");
    REFRAIN_ASSERT(fuzz::fits_a_header(call.response->content_type), "it becomes a header");
  }
}

void check_parser(std::string_view text) {
  auto strict = parse_json(text);
  if (!strict) return;
  boost::system::error_code ec;
  auto plain = boost::json::parse({text.data(), text.size()}, ec);
  REFRAIN_ASSERT(!ec, "what we take is JSON to others");
  REFRAIN_ASSERT(boost::json::serialize(plain) == boost::json::serialize(*strict),
                 "and says the same to them");
}

void check_answer(const Response& response) {
  fuzz::check_answer_head(response);
  if (!response.content_type.starts_with("application/") || response.header("Refrain-Decision")) return;
  boost::system::error_code ec;
  boost::json::parse(response.body, ec);
  REFRAIN_ASSERT(!ec && valid_utf8(response.body), "an answer is JSON");
}

}  // namespace
}  // namespace refrain::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace refrain;
  using namespace refrain::server;
  fuzz::Input in(data, size);
  World& w = world();
  w.forget();
  auto request = std::make_shared<Request>();
  request->gone = std::make_shared<std::atomic<bool>>(false);
  request->route = w.with_json[in.u8() % w.with_json.size()];
  request->captures = {"pay", "order-1"};
  const std::uint8_t more = in.u8();
  if (more & 1) request->head.fields.push_back({"idempotency-key", "\"order-1\""});
  if (more & 2) request->query = {{"ack", "log"}, {"timeout", "5s"}};
  request->body = std::string(in.rest());
  check_parser(request->body);
  int answers = 0;
  request->route->handler(w.door, request, [&](const Response& response) {
    ++answers;
    check_answer(response);
  });
  w.door.answers->drain();
  REFRAIN_ASSERT(answers == 1, "a call is answered once");
  check_calls();
  return 0;
}
