// SPDX-License-Identifier: Apache-2.0
#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <map>

#include "base/text.h"
#include "server/report_metrics.h"
#include "server/router.h"

namespace refrain::server {
namespace {

using prometheus::Counter;
using prometheus::Histogram;
using Labels = std::map<std::string, std::string>;

constexpr std::size_t kMaxNamespaces = 1000;

const Histogram::BucketBoundaries kLatency{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                           0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};

double seconds(std::chrono::nanoseconds took) {
  return std::chrono::duration<double>(took).count();
}

}  // namespace

struct Metrics::Parts {
  prometheus::Registry registry;
  prometheus::Family<Counter>& requests = prometheus::BuildCounter()
                                              .Name("refrain_http_requests_total")
                                              .Help("Answers by route, method and status code")
                                              .Register(registry);
  prometheus::Family<Histogram>& latency =
      prometheus::BuildHistogram()
          .Name("refrain_http_request_seconds")
          .Help("From a request's first byte to its answer, by route and method")
          .Register(registry);
  prometheus::Family<Counter>& decisions = prometheus::BuildCounter()
                                               .Name("refrain_decisions_total")
                                               .Help("Answers to begin and execute by namespace and decision")
                                               .Register(registry);
  Histogram& commits = prometheus::BuildHistogram()
                           .Name("refrain_commit_seconds")
                           .Help(
                               "From the call on the node to its answer, of acknowledged writes; waiting as "
                               "ack asked included")
                           .Register(registry)
                           .Add({}, kLatency);

  // Looked up once, because building labels for every request would cost more than the request.
  std::map<std::pair<const Route*, int>, Counter*> request_counters;
  std::map<const Route*, Histogram*> request_latencies;
  std::map<std::string, std::map<std::string, Counter*, std::less<>>> decision_counters;
};

Metrics::Metrics() : parts_(std::make_unique<Parts>()) {}
Metrics::~Metrics() = default;

void Metrics::answered(const Route* route, int status, std::chrono::nanoseconds took) {
  const std::string name(route ? route->pattern : "none");
  const std::string method(route ? route->method : "none");
  auto& counter = parts_->request_counters[{route, status}];
  if (!counter) {
    counter = &parts_->requests.Add({{"route", name}, {"method", method}, {"code", std::to_string(status)}});
  }
  counter->Increment();
  auto& latency = parts_->request_latencies[route];
  if (!latency) latency = &parts_->latency.Add({{"route", name}, {"method", method}}, kLatency);
  latency->Observe(seconds(took));
}

void Metrics::decided(const std::string& ns, std::string_view decision) {
  auto& all = parts_->decision_counters;
  const std::string& label = all.contains(ns) || all.size() < kMaxNamespaces ? ns : "other";
  auto& counter = all[label][std::string(decision)];
  if (!counter) counter = &parts_->decisions.Add({{"namespace", label}, {"decision", std::string(decision)}});
  counter->Increment();
}

void Metrics::committed(std::chrono::nanoseconds took) {
  parts_->commits.Observe(seconds(took));
}

std::string Metrics::text(const node::StatusReport& report, const Door& door) {
  auto families = parts_->registry.Collect();
  add_gauge(families, "refrain_http_connections", "Open connections", static_cast<double>(door.connections));
  add_gauge(families, "refrain_http_waiters", "Calls that wait because they asked to",
            static_cast<double>(door.waiters));
  add_gauge(families, "refrain_http_body_bytes", "Request bodies held in memory",
            static_cast<double>(door.body_bytes));
  add_report(families, report);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace refrain::server
