// SPDX-License-Identifier: Apache-2.0
// One call on its way through the server.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/types.h"
#include "server/http_head.h"
#include "server/response.h"

namespace refrain::server {

struct Route;

struct Request {
  const Route* route = nullptr;
  Head head;
  std::vector<std::string> captures;  // the {…} of the route's pattern, decoded once
  std::vector<std::pair<std::string, std::string>> query;
  std::string body;

  Vector session;            // what was sent, joined with what the answer adds: the answer's Refrain-Session
  Milliseconds patience{0};  // what the caller asked to wait: the answer may take this much longer
  bool ends_with_caller = false;  // it waits and has written nothing: over when its connection closes
  std::shared_ptr<void> waiter;   // counts this call among those that wait, for as long as it lives
  std::shared_ptr<std::atomic<bool>> gone;  // the connection closed, or the answer was given without the node

  const std::string* parameter(std::string_view name) const {
    for (const auto& [known, value] : query) {
      if (known == name) return &value;
    }
    return nullptr;
  }
};
using RequestPtr = std::shared_ptr<Request>;

/// Called once, on the I/O thread. Later calls, after a time-out, go nowhere.
using Reply = std::function<void(Response)>;

}  // namespace refrain::server
