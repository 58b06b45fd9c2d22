// SPDX-License-Identifier: Apache-2.0
#include "server/access_log.h"

#include <map>
#include <string>

#include "server/logging.h"
#include "server/router.h"

namespace refrain::server {
namespace {

using Steady = std::chrono::steady_clock;

struct Muted {
  Steady::time_point until;
  std::int64_t left_out = 0;
};

/// The codes come from a closed table, so this stays small. One I/O thread each: a demo has several.
thread_local std::map<std::string_view, Muted> muted;

bool worth_a_warning(int status) {
  return status == 500 || status == 503;
}

}  // namespace

void note_answer(const Request& request, const Response& response, std::chrono::nanoseconds took) {
  const bool warn = worth_a_warning(response.status) && !response.code.empty();
  const bool all = log_enabled(node::LogLevel::kDebug);
  if (!warn && !all) return;
  const std::string route(request.route ? request.route->pattern : "none");
  const double ms = std::chrono::duration<double, std::milli>(took).count();
  if (!warn) {
    return log(node::LogLevel::kDebug, "answered",
               {{"method", request.head.method},
                {"route", route},
                {"status", std::int64_t{response.status}},
                {"code", std::string(response.code)},
                {"ms", ms}});
  }
  auto& mute = muted[response.code];
  const auto now = Steady::now();
  if (now < mute.until && !all) {
    ++mute.left_out;
    return;
  }
  log(node::LogLevel::kWarn, "refused or failed",
      {{"code", std::string(response.code)},
       {"status", std::int64_t{response.status}},
       {"route", route},
       {"ms", ms},
       {"more_like_it", mute.left_out}});
  mute = {now + std::chrono::seconds(1), 0};
}

}  // namespace refrain::server
