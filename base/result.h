// SPDX-License-Identifier: Apache-2.0
// Errors are values. A code says what the caller can do; a slug is the public name of the reason (docs/api.md
// has the closed table); detail is a sentence for a person, ending with what to do.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace refrain {

enum class Code : std::uint8_t {
  kInvalid,      // the call is wrong; repeating it will fail again
  kNotFound,     // there is no such thing
  kConflict,     // the state forbids it; read, decide, call again
  kUnavailable,  // nothing happened; retry later
  kUnknown,      // it may have happened; read before repeating
  kCorrupt,      // stored or received bytes are damaged; stop and look
};

struct Error {
  Code code = Code::kInvalid;
  std::string slug;  // "fingerprint_mismatch", "disk_full", ...
  std::string
      detail;  // "The request id was used with another payload. Use a new id or send the first payload."
  std::optional<std::int64_t> retry_after_ms = std::nullopt;
  std::optional<std::string> address = std::nullopt;  // the node to ask instead (wrong_node)
  std::optional<std::size_t> operation =
      std::nullopt;  // index of the operation that failed (version_mismatch, ...)
  std::optional<std::string> scope = std::nullopt;  // of the request that was decided
};

/// A value or an Error; cannot be dropped. No exception crosses a module border.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(Error error)
      : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}  // NOLINT: a value in disguise
  Result(tl::expected<T, Error> other)
      : tl::expected<T, Error>(std::move(other)) {}  // NOLINT: what map() gives
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
 public:
  using tl::expected<void, Error>::expected;
  Result(Error error) : tl::expected<void, Error>(tl::unexpect, std::move(error)) {}  // NOLINT
};

inline Error invalid(std::string slug, std::string detail) {
  return {Code::kInvalid, std::move(slug), std::move(detail)};
}
inline Error not_found(std::string detail) {
  return {Code::kNotFound, "not_found", std::move(detail)};
}
inline Error conflict(std::string slug, std::string detail) {
  return {Code::kConflict, std::move(slug), std::move(detail)};
}
inline Error unavailable(std::string slug, std::string detail) {
  return {Code::kUnavailable, std::move(slug), std::move(detail)};
}
inline Error corrupt(std::string detail) {
  return {Code::kCorrupt, "corrupt", std::move(detail)};
}

/// A broken invariant ends the process in every build: going on would turn a bug into lost data.
[[noreturn]] inline void abort_with(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, what);
  std::abort();
}
#define REFRAIN_ASSERT(condition, what) \
  ((condition) ? static_cast<void>(0) : ::refrain::abort_with(__FILE__, __LINE__, what))

}  // namespace refrain
