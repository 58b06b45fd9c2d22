// SPDX-License-Identifier: Apache-2.0
// refrain_* in Prometheus' conventions. What the server counts itself is kept here; the rest is read from the
// node's report when somebody asks. I/O thread only. The only file that knows prometheus-cpp is metrics.cc.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "node/reports.h"

namespace refrain::server {

struct Route;

class Metrics {
 public:
  Metrics();
  ~Metrics();

  /// `route` is null for what reached no route.
  void answered(const Route* route, int status, std::chrono::nanoseconds took);
  /// Namespaces past the first 1,000 are counted together as "other": a caller must not be able to grow this.
  void decided(const std::string& ns, std::string_view decision);
  /// From the call on the node to its answer, for commits that were acknowledged.
  void committed(std::chrono::nanoseconds took);

  struct Door {
    std::uint64_t connections = 0;
    std::uint64_t waiters = 0;
    std::uint64_t body_bytes = 0;
  };
  std::string text(const node::StatusReport& report, const Door& door);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace refrain::server
