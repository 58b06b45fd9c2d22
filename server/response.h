// SPDX-License-Identifier: Apache-2.0
// An answer, and its bytes on the wire.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "node/node.h"

namespace refrain::server {

struct ResponseHeader {
  std::string_view name;  // a literal
  std::string value;
};

struct Response {
  int status = 200;
  std::string content_type;  // empty = none is sent
  std::string body;
  std::vector<ResponseHeader> headers;
  std::string_view code;                         // of a problem; for logs and metrics
  bool close = false;                            // the connection closes after it
  std::unique_ptr<node::SnapshotSource> stream;  // instead of a body

  Response& with(std::string_view name, std::string value) {
    headers.push_back({name, std::move(value)});
    return *this;
  }
  const std::string* header(std::string_view name) const;
};

Response json_response(int status, std::string body);

struct WireOptions {
  bool head_only = false;  // HEAD: all headers, no body
  bool http10 = false;
  bool keep_alive = true;
  std::string_view date;  // IMF-fixdate
};

/// Appends the head, and the body unless it is streamed. Whatever a header value is made of, no CR, LF, NUL
/// or other control character gets out: they become '?'.
void append_response(std::string& out, const Response& response, const WireOptions& options);

/// One piece of a streamed body; an empty one adds nothing.
void append_block(std::string& out, std::string_view block, bool chunked);

std::string_view reason_of(int status);

}  // namespace refrain::server
