// SPDX-License-Identifier: Apache-2.0
// How commands reach a node: the HTTP routes of docs/api.md, nothing else.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "base/types.h"

namespace refrain::cli {

struct Call {
  std::string method = "GET";
  std::string target;                // "/v1/kv/orders/a?ack=all", percent-encoded
  std::vector<std::string> headers;  // "If-Match: ..."
  std::string body;
  std::string content_type;  // of the body; empty = there is none
  Milliseconds wait{0};      // that the call asks the node to wait; our own patience comes on top
};

struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  std::string header(const std::string& name) const {
    auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

/// No whole answer came: "cannot reach http://127.0.0.1:8080: connection refused".
struct NoAnswer {
  std::string why;
};

/// One thread. Blocks until the answer is there, or says why there is none.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual tl::expected<Answer, NoAnswer> call(const Call& call) = 0;
};

/// `server`: "http://host:port", without a path.
std::unique_ptr<Transport> http_transport(std::string server);

/// For one segment of a path, or a value of a query.
std::string percent_encoded(std::string_view text);
/// For a key, whose '/' stay.
std::string percent_encoded_key(std::string_view key);

/// Adds "?name=value", then "&name=value".
class Target {
 public:
  explicit Target(std::string path) : text_(std::move(path)) {}
  Target& with(std::string_view name, std::string_view value) {
    text_ += separator_;
    text_.append(name).append("=").append(percent_encoded(value));
    separator_ = '&';
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  char separator_ = '?';
};

}  // namespace refrain::cli
