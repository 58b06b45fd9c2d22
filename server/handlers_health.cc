// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "server/answers.h"
#include "server/door.h"
#include "server/handlers.h"
#include "server/openapi.h"
#include "server/problem.h"

namespace refrain::server {
namespace {

std::vector<node::Check> all_checks(Door& door) {
  std::vector<node::Check> checks;
  if (auto* node = door.node.load(std::memory_order_acquire)) {
    checks = node->checks();
  } else {
    checks.push_back({"store", false, true, "catching_up", "The data directory is being opened. Wait."});
  }
  if (door.draining)
    checks.push_back({"shutdown", false, true, "draining", "The node is shutting down. Use another one."});
  return checks;
}

std::string_view health_of(const std::vector<node::Check>& checks) {
  const auto fails = [](const node::Check& check) { return !check.ok; };
  if (std::ranges::none_of(checks, fails)) return "ok";
  return std::ranges::any_of(checks, [](const auto& c) { return !c.ok && c.blocking; }) ? "unavailable"
                                                                                        : "degraded";
}

}  // namespace

void show_live(Door&, const RequestPtr&, Reply reply) {
  Response response = json_response(200, R"({"status":"ok"})");
  response.with("Cache-Control", "no-store");
  reply(std::move(response));
}

void show_ready(Door& door, const RequestPtr&, Reply reply) {
  const auto checks = all_checks(door);
  const auto health = health_of(checks);
  JsonWriter json;
  json.begin_object().member("status", health);
  write_checks(json.key("checks"), checks);
  json.end_object();
  Response response = json_response(health == "unavailable" ? 503 : 200, json.take());
  response.with("Cache-Control", "no-store");
  if (response.status == 503) response.with("Retry-After", "1");
  reply(std::move(response));
}

void show_metrics(Door& door, const RequestPtr&, Reply reply) {
  auto answer = [&door, reply](const node::StatusReport& report) {
    Response response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = door.metrics.text(report, {door.connections, door.waiters->load(), door.body_bytes});
    reply(std::move(response));
  };
  auto* node = door.node.load(std::memory_order_acquire);
  if (!node) return answer({});
  node->status(
      door.answers->deliver<node::StatusReport>([answer, reply](const Result<node::StatusReport>& report) {
        report ? answer(*report) : reply(problem(report.error()));
      }));
}

void show_openapi(Door&, const RequestPtr&, Reply reply) {
  reply(json_response(200, std::string(openapi_json())));
}

}  // namespace refrain::server
