// SPDX-License-Identifier: Apache-2.0
// Errors as clients see them: application/problem+json (RFC 9457) with a code of the closed table in
// docs/api.md.
#pragma once
#include <span>
#include <string_view>

#include "base/result.h"
#include "server/response.h"

namespace refrain::server {

struct ProblemKind {
  std::string_view code;
  int status;
  std::string_view title;
};

/// The whole table, by status, then code.
std::span<const ProblemKind> problem_kinds();

/// The kind of an error: its slug's, or the nearest for a slug that is not public (then `corrupt` reads as
/// store_failed).
const ProblemKind& kind_of(const Error& error);

/// The answer to a call that failed. 503, 429 and 409 request_in_progress carry Retry-After, rounded up, at
/// least 1.
Response problem(const Error& error);

/// The same, after which the connection closes: the next bytes on it cannot be trusted to be a request.
Response problem_and_close(const Error& error);

}  // namespace refrain::server
