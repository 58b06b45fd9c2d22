// SPDX-License-Identifier: Apache-2.0
#include "cli/relay.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio.hpp>
#include <set>
#include <thread>

namespace refrain::cli {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

/// Both directions of one connection; lives as long as a read or a write is under way.
class Pipe : public std::enable_shared_from_this<Pipe> {
 public:
  Pipe(tcp::socket client, asio::io_context& io) : client_(std::move(client)), server_(io) {}

  void start(const tcp::endpoint& target) {
    server_.async_connect(target, [self = shared_from_this()](boost::system::error_code error) {
      if (error) return self->close();
      self->copy(self->client_, self->server_, self->up_);
      self->copy(self->server_, self->client_, self->down_);
    });
  }

  void close() {
    boost::system::error_code ignored;
    client_.close(ignored);
    server_.close(ignored);
  }

 private:
  using Buffer = std::array<char, 64 * 1024>;

  void copy(tcp::socket& from, tcp::socket& to, Buffer& buffer) {
    from.async_read_some(asio::buffer(buffer), [this, self = shared_from_this(), &from, &to, &buffer](
                                                   boost::system::error_code error, std::size_t bytes) {
      if (error) return close();
      asio::async_write(to, asio::buffer(buffer.data(), bytes),
                        [this, self, &from, &to, &buffer](boost::system::error_code failed, std::size_t) {
                          if (failed) return close();
                          copy(from, to, buffer);
                        });
    });
  }

  tcp::socket client_;
  tcp::socket server_;
  Buffer up_{};
  Buffer down_{};
};

class TcpRelay final : public Relay {
 public:
  TcpRelay(std::uint16_t target_port)
      : target_(asio::ip::address_v4::loopback(), target_port), acceptor_(io_) {}
  ~TcpRelay() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Result<void> listen(std::uint16_t port) {
    boost::system::error_code error;
    tcp::endpoint here(asio::ip::address_v4::loopback(), port);
    acceptor_.open(here.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(here, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return unavailable("unavailable",
                         fmt::format("The relay cannot listen on 127.0.0.1:{}: {}", port, error.message()));
    accept();
    thread_ = std::thread([this] { io_.run(); });
    return {};
  }

  void set_open(bool open) override {
    asio::post(io_, [this, open] {
      open_ = open;
      if (open) return;
      for (const auto& weak : pipes_) {
        if (auto pipe = weak.lock()) pipe->close();
      }
      pipes_.clear();
    });
  }

 private:
  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, tcp::socket client) {
      if (!error && open_) {
        auto pipe = std::make_shared<Pipe>(std::move(client), io_);
        std::erase_if(pipes_, [](const auto& weak) { return weak.expired(); });
        pipes_.push_back(pipe);
        pipe->start(target_);
      }
      accept();
    });
  }

  asio::io_context io_;
  tcp::endpoint target_;
  tcp::acceptor acceptor_;
  bool open_ = true;
  std::vector<std::weak_ptr<Pipe>> pipes_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Relay>> Relay::start(std::uint16_t port, std::uint16_t target_port) {
  auto relay = std::make_unique<TcpRelay>(target_port);
  if (auto listening = relay->listen(port); !listening) return listening.error();
  return std::unique_ptr<Relay>(std::move(relay));
}

}  // namespace refrain::cli
