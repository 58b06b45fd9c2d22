// SPDX-License-Identifier: Apache-2.0
// The table of routes: docs/openapi.json says the same, and a test compares them. Pure.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "server/request.h"

namespace refrain::server {

struct Door;

enum class BodyKind : std::uint8_t {
  kNone,     // a body is an error
  kValue,    // the bytes of a value
  kPayload,  // a caller's own payload: only its hash is kept
  kJson,     // operations, a response: as large as a commit may become in JSON
  kSmall,    // JSON of a few members
};

using Handler = void (*)(Door& door, const RequestPtr& request, Reply reply);

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/v1/kv/{ns}/{key}"; a last {key} is the rest of the path, slashes and all
  BodyKind body = BodyKind::kNone;
  Handler handler = nullptr;
  std::vector<std::string_view> query;  // the parameters it knows
  bool decides = false;                 // begin, execute: the answer names decision and scope
  bool without_node = false;            // answers before there is a node: health, openapi
};

std::span<const Route> routes();

struct Routed {
  const Route* route = nullptr;  // none: see error
  std::vector<std::string> captures;
  std::string allow;           // of 405: the methods there are, for the Allow header
  std::optional<Error> error;  // no_such_route, method_not_allowed, a broken escape, an unknown parameter
  std::vector<std::pair<std::string, std::string>> query;
};

/// HEAD is routed as GET.
Routed route(std::string_view method, std::string_view target);

}  // namespace refrain::server
