// SPDX-License-Identifier: Apache-2.0
// What must hold of the head of every answer, whatever a caller sent.
#pragma once
#include "base/result.h"
#include "server/response.h"

namespace refrain::fuzz {

/// It has exactly the lines that the response says, and no control characters but their ends.
inline void check_answer_head(const server::Response& response) {
  std::string out;
  server::append_response(out, response, {.head_only = true, .date = "Thu, 01 Jan 1970 00:00:00 GMT"});
  // The first line, date, content type, content length, the empty one.
  std::size_t expected =
      2 + 1 + !response.content_type.empty() + (response.status != 304) + response.headers.size();
  std::size_t lines = 0;
  char before = 0;
  for (char c : out) {
    REFRAIN_ASSERT((before == '\r') == (c == '\n'), "a CR stands before an LF, and only there");
    REFRAIN_ASSERT(c == '\r' || c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20,
                   "no controls");
    lines += c == '\n';
    before = c;
  }
  REFRAIN_ASSERT(lines == expected, "a head has the lines that it says");
  REFRAIN_ASSERT(out.ends_with("\r\n\r\n") && out.starts_with("HTTP/1.1 "), "and is whole");
}

}  // namespace refrain::fuzz
