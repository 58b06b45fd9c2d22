// SPDX-License-Identifier: Apache-2.0
// What a call says in its path, query and headers, checked. The first error is kept; after it every read
// gives a default, so that a handler reads everything and looks once.
#pragma once
#include <optional>
#include <string>

#include "node/node.h"
#include "server/request.h"

namespace refrain::server {

inline constexpr Milliseconds kMaxWait{60'000};
inline constexpr Milliseconds kMaxTtl{100LL * 365 * 86'400'000};
inline constexpr std::size_t kMaxListed = 1000;
inline constexpr std::size_t kListed = 100;

class Arguments {
 public:
  Arguments(const Request& request, const node::Limits& limits) : request_(request), limits_(limits) {}

  // path
  std::string kv_namespace();                // first capture
  std::string key();                         // second
  std::string request_namespace(bool read);  // first; our own ones may be read, not used
  std::string request_id();                  // second
  std::string node_name();                   // first

  // query
  std::optional<std::string> text(std::string_view name) const;
  std::optional<Milliseconds> duration(std::string_view name, Milliseconds max = kMaxTtl);  // > 0
  std::optional<std::uint64_t> number(std::string_view name);
  std::optional<Sha256> fingerprint();
  std::optional<node::OnExpiry> on_expiry();
  bool flag(std::string_view name);
  std::size_t limit();
  Milliseconds wait();  // <= 60 s, else 400
  node::Ack ack();
  Milliseconds timeout();  // as of ack(): 5 s by default, <= 60 s
  std::string one_of(std::string_view name, std::initializer_list<std::string_view> allowed);

  // headers
  node::Condition condition();
  std::optional<std::string> idempotency_key();

  void fail(Error error);
  const std::optional<Error>& error() const { return error_; }

 private:
  const std::string& capture(std::size_t i) const { return request_.captures[i]; }
  Milliseconds bounded_wait(std::string_view name, Milliseconds fallback);

  const Request& request_;
  const node::Limits& limits_;
  std::optional<Error> error_;
};

/// Shared with JSON bodies, which name the same things.
std::optional<Error> check_kv_namespace(std::string_view ns);
std::optional<Error> check_key(std::string_view key, const node::Limits& limits);
std::optional<Error> check_value(std::size_t bytes, const node::Limits& limits);
std::optional<Version> parse_etag(std::string_view text);  // in quotes or bare
std::string etag(const Version& version);

}  // namespace refrain::server
