// SPDX-License-Identifier: Apache-2.0
// One client's connection: reads a request strictly, hands it to its handler, writes the answer, goes on. One
// request at a time, so answers to pipelined requests come in order. I/O thread only.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "server/door.h"
#include "server/http_head.h"
#include "server/memory_share.h"

namespace refrain::server {

class Connection;

/// All that are open, and what they share.
struct Connections {
  std::list<Connection*> open;
  std::string date;  // for the Date header, renewed by the sweep
  bool forced = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Steady = std::chrono::steady_clock;

  Connection(boost::asio::ip::tcp::socket socket, Door& door, Connections& all);
  ~Connection();
  void start();

  /// Ends what takes too long. Called every tenth of a second or so.
  void sweep(Steady::time_point now);
  /// The server goes down: closes when idle, cuts a stream, gives half a request a moment to come whole.
  /// Calls under way are answered by the node, which drains as well.
  void drain();
  /// Answers what is under way without the node; `close` = does not even wait for that to be written.
  void force(bool close);

 private:
  enum class Phase { kIdle, kHead, kBody, kCall, kWrite, kStream, kLinger };

  /// Asio's any_completion_handler wraps itself without end when it is moved into (Boost 1.81).
  struct Resume {
    virtual ~Resume() = default;
    virtual void run() = 0;
  };
  template <class H>
  struct ResumeOf;

  /// The way from a handler back to the coroutine that waits for it.
  struct Exchange {
    std::optional<Response> response;
    std::unique_ptr<Resume> resume;
    bool answered = false;
    void answer(Response with);
  };

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<bool> serve_one();
  boost::asio::awaitable<std::optional<Result<std::size_t>>> read_head();
  boost::asio::awaitable<Response> answer(RequestPtr request, std::optional<Error> refused);
  boost::asio::awaitable<std::optional<Response>> read_body(RequestPtr request, MemoryShare& share);
  boost::asio::awaitable<Response> call(RequestPtr request, MemoryShare& body);
  boost::asio::awaitable<bool> send(RequestPtr request, Response response);
  boost::asio::awaitable<bool> stream(std::shared_ptr<node::SnapshotSource> source, bool chunked);
  boost::asio::awaitable<bool> write(std::string_view bytes);
  boost::asio::awaitable<bool> read_some(std::string& into, std::size_t most);
  boost::asio::awaitable<void> linger();

  void enter(Phase phase, Milliseconds limit);
  void give_up();
  void cut();
  void watch(const RequestPtr& request);
  void look_whether_gone();
  bool peer_closed();
  bool keeps_open(const Request& request, const Response& response) const;
  bool has_room(const Response& response, MemoryShare& share) const;

  boost::asio::ip::tcp::socket socket_;
  Door& door_;
  Connections& all_;
  std::list<Connection*>::iterator place_;

  Phase phase_ = Phase::kIdle;
  Steady::time_point deadline_;
  Steady::time_point started_;  // first byte of the request under way
  bool timed_out_ = false;
  bool dead_ = false;  // nothing more can be written
  std::string in_;     // read and not yet used
  std::string out_;
  boost::asio::steady_timer pause_;     // of a stream
  std::shared_ptr<Exchange> exchange_;  // while kCall
  RequestPtr request_;                  // while kCall
};

}  // namespace refrain::server
