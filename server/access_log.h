// SPDX-License-Identifier: Apache-2.0
// What of the answers is worth a line: all of them at debug, those that say that something is wrong here at
// warn, each code at most once a second with a count of what was left out. Paths are not logged, routes are:
// keys may be secrets.
#pragma once
#include <chrono>

#include "server/request.h"

namespace refrain::server {

void note_answer(const Request& request, const Response& response, std::chrono::nanoseconds took);

}  // namespace refrain::server
