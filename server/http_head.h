// SPDX-License-Identifier: Apache-2.0
// The head of a request, taken strictly: whatever two readers could understand differently is refused, so
// that nobody can hide a request inside another one (request smuggling). Pure; the only file that knows
// Beast's parser is http_head.cc.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace refrain::server {

inline constexpr std::size_t kMaxHeadBytes = 16 * 1024;
inline constexpr std::size_t kMaxHeaders = 64;

/// Finds the end of a head in bytes that come piece by piece, and refuses on the first byte that no head may
/// have: controls, a line end that is not CR LF, a folded header, too many headers, too many bytes.
class HeadScanner {
 public:
  /// `buffer` is everything from the head's first byte on, and only grows from call to call. Ok with a value:
  /// the head's size, its empty line included. Ok without: more bytes are needed. An error: 400, then close.
  Result<std::optional<std::size_t>> scan(std::string_view buffer);

  /// One empty line before a request is passed over (RFC 9112, 2.2): its size.
  std::size_t skipped() const { return skipped_; }

 private:
  Result<void> line_ended(std::size_t position);

  std::size_t seen_ = 0;        // bytes looked at
  std::size_t line_start_ = 0;  // where the line under the cursor began
  std::size_t lines_ = 0;       // ended ones that were not empty
  std::size_t skipped_ = 0;
  bool after_cr_ = false;
  bool done_ = false;
};

struct HeadField {
  std::string name;  // lower case
  std::string value;
};

struct Head {
  std::string method;
  std::string target;  // as sent, less scheme and authority of an absolute form
  bool http10 = false;
  bool keep_alive = true;
  bool expect_continue = false;
  std::uint64_t content_length = 0;
  std::vector<HeadField> fields;

  const std::string* field(std::string_view lower_case_name) const;
};

/// A head that was understood may still be refused: then both stand here, and the connection closes after the
/// answer unless `keeps_connection`.
struct ParsedHead {
  Head head;
  std::optional<Error> error;
  bool keeps_connection = false;
};

/// `raw` is what HeadScanner measured, less what it skipped.
ParsedHead parse_head(std::string_view raw);

}  // namespace refrain::server
