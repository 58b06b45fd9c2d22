// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <fmt/chrono.h>
#include <pthread.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "server/connection.h"
#include "server/logging.h"
#include "server/problem.h"
#include "store/session.h"

namespace refrain::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Steady = std::chrono::steady_clock;

constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
constexpr Milliseconds kSweep{100};
constexpr Milliseconds kForceAhead{500};  // for the last answers to be written, and then to be heard
constexpr std::uint32_t kMaxRefused =
    256;  // connections over the limit that get a word before they are closed

class AsioServer final : public Server {
 public:
  explicit AsioServer(Options options) : acceptor_(io_), sweeper_(io_) {
    door_.options = std::move(options);
    door_.answers =
        std::make_shared<AnswerQueue>([this] { asio::post(io_, [this] { door_.answers->drain(); }); });
  }
  ~AsioServer() override { stop(Milliseconds{0}); }

  Result<void> bind();
  std::uint16_t port() const override { return port_; }
  void start() override;
  void serve(node::Api& node) override { door_.node.store(&node, std::memory_order_release); }
  void stop(Milliseconds within) override;

 private:
  asio::awaitable<void> accept();
  asio::awaitable<void> sweep();
  asio::awaitable<void> refuse(tcp::socket socket);
  void take(tcp::socket socket);
  void begin_drain();
  void force(bool close);
  bool wait_until_closed(Steady::time_point deadline);
  void on_io(std::function<void()> what);
  template <class F>
  void for_each_open(F what);

  // In this order: connections end before what they use.
  Door door_;
  Connections connections_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer sweeper_;
  std::uint16_t port_ = 0;
  std::uint32_t refused_ = 0;
  bool closing_ = false;  // I/O thread: nothing is accepted any more
  std::thread thread_;
  std::mutex stop_mutex_;
  bool stopped_ = false;
  std::mutex closed_mutex_;
  std::condition_variable closed_;
  bool all_closed_ = false;
};

std::string http_date() {
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::chrono::system_clock::now()));
}

void log_end(std::exception_ptr failure, const char* what) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    log(node::LogLevel::kError, "a loop of the server ended",
        {{"loop", std::string(what)}, {"what", std::string(e.what())}});
  }
}

Result<void> AsioServer::bind() {
  const auto& http = door_.options.http;
  boost::system::error_code ec;
  tcp::resolver resolver(io_);
  const auto found = resolver.resolve(http.host, std::to_string(http.port), tcp::resolver::passive, ec);
  if (!ec && !found.empty()) {
    const tcp::endpoint at = *found.begin();
    acceptor_.open(at.protocol(), ec);
    if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor_.bind(at, ec);
    if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
  }
  if (ec) {
    std::string why = ec.message();
    if (!why.empty()) why[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(why[0])));
    return unavailable("listen_failed",
                       fmt::format("Cannot listen on {}:{} (http.listen): {}.", http.host, http.port, why));
  }
  port_ = acceptor_.local_endpoint(ec).port();
  return {};
}

void AsioServer::start() {
  connections_.date = http_date();
  asio::co_spawn(io_, accept(), [](std::exception_ptr failure) { log_end(failure, "accept"); });
  asio::co_spawn(io_, sweep(), [](std::exception_ptr failure) { log_end(failure, "sweep"); });
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "refrain-http");
    io_.run();
  });
  log(node::LogLevel::kInfo, "listening", {{"host", door_.options.http.host}, {"port", std::int64_t{port_}}});
}

template <class F>
void AsioServer::for_each_open(F what) {
  // A connection may end, and leave the list, while it is told something.
  std::vector<std::shared_ptr<Connection>> open;
  open.reserve(connections_.open.size());
  for (auto* connection : connections_.open) open.push_back(connection->shared_from_this());
  for (const auto& connection : open) what(*connection);
}

asio::awaitable<void> AsioServer::accept() {
  asio::steady_timer pause(io_);
  while (!closing_) {
    auto [ec, socket] = co_await acceptor_.async_accept(kUse);
    if (!ec) {
      take(std::move(socket));
      continue;
    }
    if (closing_) break;
    // Out of descriptors, most likely: one that closes makes room.
    log(node::LogLevel::kWarn, "cannot accept a connection", {{"why", ec.message()}});
    pause.expires_after(kSweep);
    auto [waited] = co_await pause.async_wait(kUse);
    if (waited) break;
  }
}

void AsioServer::take(tcp::socket socket) {
  if (door_.connections < door_.options.http.max_connections) {
    std::make_shared<Connection>(std::move(socket), door_, connections_)->start();
  } else if (refused_ < kMaxRefused) {
    asio::co_spawn(io_, refuse(std::move(socket)),
                   [](std::exception_ptr failure) { log_end(failure, "refuse"); });
  }
}

asio::awaitable<void> AsioServer::refuse(tcp::socket socket) {
  ++refused_;
  Response response = problem_and_close(unavailable(
      "overloaded",
      fmt::format("The node has {} connections open (http.max_connections). Try again later, or reuse one.",
                  door_.connections)));
  response.with("Refrain-Session", store::encode_session({}));
  door_.metrics.answered(nullptr, response.status, {});
  std::string bytes;
  WireOptions options;
  options.keep_alive = false;
  options.date = connections_.date;
  append_response(bytes, response, options);
  boost::system::error_code ec;
  socket.non_blocking(true, ec);
  socket.write_some(asio::buffer(bytes), ec);
  socket.shutdown(tcp::socket::shutdown_send, ec);
  // Read what the client sends, for a second, so that the answer is not overtaken by a reset.
  asio::steady_timer timer(io_);
  for (int i = 0; i < 20 && !closing_; ++i) {
    char dropped[4096];
    const std::size_t count = socket.read_some(asio::buffer(dropped), ec);
    if (ec && ec != asio::error::would_block) break;
    if (count > 0) continue;
    timer.expires_after(Milliseconds(50));
    auto [waited] = co_await timer.async_wait(kUse);
    if (waited) break;
  }
  --refused_;
}

asio::awaitable<void> AsioServer::sweep() {
  auto date_due = Steady::now();
  while (!closing_ || !connections_.open.empty()) {
    sweeper_.expires_after(kSweep);
    [[maybe_unused]] auto [waited] = co_await sweeper_.async_wait(kUse);
    const auto now = Steady::now();
    if (now >= date_due) {
      connections_.date = http_date();
      date_due = now + std::chrono::seconds(1);
    }
    for_each_open([now](Connection& connection) { connection.sweep(now); });
  }
  std::lock_guard lock(closed_mutex_);
  all_closed_ = true;
  closed_.notify_all();
}

void AsioServer::on_io(std::function<void()> what) {
  asio::post(io_, std::move(what));
}

void AsioServer::begin_drain() {
  closing_ = true;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  for_each_open([](Connection& connection) { connection.drain(); });
  sweeper_.cancel();
}

bool AsioServer::wait_until_closed(Steady::time_point deadline) {
  std::unique_lock lock(closed_mutex_);
  return closed_.wait_until(lock, deadline, [this] { return all_closed_; });
}

void AsioServer::force(bool close) {
  connections_.forced = true;
  for_each_open([close](Connection& connection) { connection.force(close); });
  sweeper_.cancel();
}

void AsioServer::stop(Milliseconds within) {
  std::lock_guard lock(stop_mutex_);
  if (std::exchange(stopped_, true)) return;
  door_.draining = true;
  if (thread_.joinable()) {
    const auto deadline = Steady::now() + within;
    const auto ahead = std::min(kForceAhead, within / 4);
    on_io([this] { begin_drain(); });
    bool closed = wait_until_closed(deadline - 2 * ahead);
    if (!closed) {
      on_io([this] { force(false); });
      closed = wait_until_closed(deadline - ahead);
    }
    if (!closed) {
      on_io([this] { force(true); });
      wait_until_closed(deadline + kSweep);
    }
    on_io([this] {
      door_.answers->close();
      io_.stop();
    });
    thread_.join();
  }
  door_.answers->close();
  door_.backups.join();
  door_.node.store(nullptr, std::memory_order_release);
  log(node::LogLevel::kInfo, "no longer listening", {{"port", std::int64_t{port_}}});
}

}  // namespace

Result<std::unique_ptr<Server>> Server::open(Options options) {
  auto server = std::make_unique<AsioServer>(std::move(options));
  if (auto bound = server->bind(); !bound) return bound.error();
  return Result<std::unique_ptr<Server>>(std::unique_ptr<Server>(std::move(server)));
}

}  // namespace refrain::server
