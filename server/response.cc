// SPDX-License-Identifier: Apache-2.0
#include "server/response.h"

#include <fmt/format.h>

namespace refrain::server {
namespace {

constexpr std::size_t kRoomForHead = 1024;

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  for (char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    out += (byte < 0x20 && byte != '\t') || byte == 0x7F ? '?' : c;
  }
  out += "\r\n";
}

bool has_body(int status) {
  return status != 304 && status != 204;
}

}  // namespace

const std::string* Response::header(std::string_view name) const {
  for (const auto& h : headers) {
    if (h.name == name) return &h.value;
  }
  return nullptr;
}

Response json_response(int status, std::string body) {
  Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = std::move(body);
  return response;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    default:
      return "Unknown";
  }
}

void append_response(std::string& out, const Response& response, const WireOptions& options) {
  out.reserve(out.size() + kRoomForHead + response.body.size());
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", response.status, reason_of(response.status));
  if (!options.date.empty()) append_header(out, "Date", options.date);
  if (!response.content_type.empty()) append_header(out, "Content-Type", response.content_type);
  if (response.stream) {
    if (!options.http10) out += "Transfer-Encoding: chunked\r\n";
  } else if (has_body(response.status)) {
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", response.body.size());
  }
  for (const auto& header : response.headers) append_header(out, header.name, header.value);
  if (!options.keep_alive) {
    out += "Connection: close\r\n";
  } else if (options.http10) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  if (!options.head_only && !response.stream && has_body(response.status)) out += response.body;
}

void append_block(std::string& out, std::string_view block, bool chunked) {
  if (block.empty()) return;  // a chunk of size 0 would end the body
  if (chunked) fmt::format_to(std::back_inserter(out), "{:x}\r\n", block.size());
  out += block;
  if (chunked) out += "\r\n";
}

}  // namespace refrain::server
