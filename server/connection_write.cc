// SPDX-License-Identifier: Apache-2.0
// The way out: answers, streams, and closing so that the last answer is heard.
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "server/connection.h"
#include "server/logging.h"
#include "server/preflight.h"

namespace refrain::server {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

// g++ 12 destroys braced temporaries in a co_await expression twice: every argument below has a name first.
constexpr auto kUse = asio::as_tuple(asio::use_awaitable);

constexpr Milliseconds kLinger{2000};
constexpr Milliseconds kDrainLinger{200};
constexpr std::size_t kLingerBytes = 8 * 1024 * 1024;  // more than any body that is taken
constexpr std::size_t kDroppedBytes = 64 * 1024;
constexpr std::size_t kKeptBytes = 16 * 1024;
constexpr Milliseconds kSnapshotPause{20};

}  // namespace

bool Connection::keeps_open(const Request& request, const Response& response) const {
  return request.head.keep_alive && !response.close && !door_.draining && !all_.forced;
}

/// Small answers always have room, and so has any while no other is unsent.
bool Connection::has_room(const Response& response, MemoryShare& share) const {
  const auto bytes = response.body.size();
  if (share.take(bytes)) return true;
  if (bytes > kKeptBytes && door_.answer_bytes > 0) return false;
  share.take_anyway(bytes);
  return true;
}

awaitable<bool> Connection::send(RequestPtr request, Response response) {
  MemoryShare share(door_.answer_bytes, door_.options.answer_memory);
  if (!has_room(response, share)) {
    const bool close = response.close;
    response = crowded_out(*request);
    response.close = close;
  }
  finish(door_, *request, response, Steady::now() - started_);
  bool open = keeps_open(*request, response);
  WireOptions options;
  options.head_only = request->head.method == "HEAD";
  options.http10 = request->head.http10;
  if (response.stream && options.http10) open = false;
  options.keep_alive = open;
  options.date = all_.date;
  out_.clear();
  append_response(out_, response, options);
  free_bytes(response.body);
  enter(Phase::kWrite, door_.options.http.request_timeout);
  const bool written = co_await write(out_);
  if (out_.capacity() > kKeptBytes) free_bytes(out_);
  share.end();
  if (written && response.stream && !options.head_only) {
    std::shared_ptr<node::SnapshotSource> source = std::move(response.stream);
    ++door_.snapshots;
    const bool whole = co_await stream(source, !options.http10);
    --door_.snapshots;
    if (!whole) dead_ = true;  // cut, so that the reader cannot take it for whole
    open = open && whole;
  }
  co_return written&& open;
}

awaitable<bool> Connection::write(std::string_view bytes) {
  // Nearly always the kernel takes all of it at once; then there is nothing to wait for.
  boost::system::error_code ec;
  const std::size_t now = socket_.write_some(asio::const_buffer(bytes.data(), bytes.size()), ec);
  if (ec && ec != asio::error::would_block) {
    dead_ = true;
    co_return false;
  }
  if (now < bytes.size()) {
    const asio::const_buffer rest(bytes.data() + now, bytes.size() - now);
    auto [failed, count] = co_await asio::async_write(socket_, rest, kUse);
    if (failed) dead_ = true;
  }
  co_return !dead_;
}

/// Blocks as they come, at the rate that is configured, each as one chunk.
awaitable<bool> Connection::stream(std::shared_ptr<node::SnapshotSource> source, bool chunked) {
  const auto start = Steady::now();
  const double rate =
      static_cast<double>(std::max<std::uint64_t>(1, door_.options.snapshot_bytes_per_second));
  double sent = 0;
  std::string block;
  for (;;) {
    if (dead_ || door_.draining) co_return false;
    enter(Phase::kStream, door_.options.http.request_timeout);
    block.clear();
    auto state = source->next(block);
    if (!state) {
      log(node::LogLevel::kWarn, "a snapshot was cut off",
          {{"code", state.error().slug}, {"why", state.error().detail}});
      co_return false;
    }
    if (*state == node::SnapshotSource::State::kEnd) break;
    if (*state == node::SnapshotSource::State::kWait) {
      if (peer_closed()) co_return false;
      pause_.expires_after(kSnapshotPause);
      auto [waited] = co_await pause_.async_wait(kUse);
      if (waited || dead_) co_return false;
      continue;
    }
    out_.clear();
    append_block(out_, block, chunked);
    const bool written = co_await write(out_);
    if (!written) co_return false;
    sent += static_cast<double>(block.size());
    const auto due =
        start + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(sent / rate));
    if (due > Steady::now()) {
      pause_.expires_at(due);
      auto [waited] = co_await pause_.async_wait(kUse);
      if (waited || dead_) co_return false;
    }
  }
  if (!chunked) co_return true;
  const bool ended = co_await write("0\r\n\r\n");
  co_return ended;
}

/// Closing with unread bytes makes the kernel tell the client "reset", which can overtake the answer: so say
/// that no more comes, read what it still sends, for a while, and then close.
awaitable<void> Connection::linger() {
  boost::system::error_code ec;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ec);
  enter(Phase::kLinger, door_.draining ? kDrainLinger : kLinger);
  std::size_t dropped = 0;
  while (!ec && !dead_ && dropped < kLingerBytes) {
    in_.clear();
    const bool more = co_await read_some(in_, kDroppedBytes);
    if (!more) break;
    dropped += in_.size();
  }
  socket_.close(ec);
}

}  // namespace refrain::server
