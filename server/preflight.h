// SPDX-License-Identifier: Apache-2.0
// What is decided about a call before its body is read, and what every answer gets after it was made. Pure
// but for the door's counters.
#pragma once
#include <chrono>
#include <optional>

#include "server/door.h"
#include "server/request.h"

namespace refrain::server {

/// Fills in the request from its head: route, captures, query, session. An answer = it goes no further.
std::optional<Response> preflight(Door& door, Request& request);

/// Bytes that the body may have.
std::uint64_t body_limit(const Door& door, const Request& request);

/// When the node did not answer in time, or the server goes down first. Only a read is told to ask again:
/// of everything else, also a begin, nobody here knows whether it happened.
Response given_up(const Door& door, const Request& request);

/// Instead of an answer for which there is no memory while others do not take theirs.
Response crowded_out(const Request& request);

/// Session, decision and scope; metrics and log.
void finish(Door& door, Request& request, Response& response, std::chrono::nanoseconds took);

}  // namespace refrain::server
