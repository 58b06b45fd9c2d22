// SPDX-License-Identifier: Apache-2.0
#include "server/connection.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "server/logging.h"
#include "server/preflight.h"
#include "server/problem.h"
#include "server/router.h"

namespace refrain::server {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

// g++ 12 destroys braced temporaries in a co_await expression twice: every argument below has a name first.
constexpr auto kUse = asio::as_tuple(asio::use_awaitable);

constexpr std::size_t kReadBytes = 8 * 1024;
constexpr std::size_t kBodyReadBytes = 64 * 1024;
constexpr std::uint64_t kDroppedBodyBytes = 64 * 1024;
constexpr Milliseconds kGoneGrace{250};    // for the answer of a node that was not told in time
constexpr Milliseconds kDrainRead{200};    // for the rest of a request at a stop
constexpr Milliseconds kCancelled{2'000};  // for the 408 to be written
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

Error too_slow(const Door& door, std::string_view what) {
  if (door.draining) {
    return unavailable("draining", "The node is shutting down and had only a part of the request's " +
                                       std::string(what) + ". Nothing was done. Ask another one.");
  }
  return invalid("timed_out",
                 "The request's " + std::string(what) + " did not come in time (http.request_timeout).");
}

}  // namespace

void Connection::Exchange::answer(Response with) {
  if (answered) return;
  answered = true;
  response = std::move(with);
  if (auto waiting = std::move(resume)) waiting->run();
}

template <class H>
struct Connection::ResumeOf final : Resume {
  explicit ResumeOf(H handler) : handler_(std::move(handler)) {}
  void run() override { std::move(handler_)(); }
  H handler_;
};

Connection::Connection(asio::ip::tcp::socket socket, Door& door, Connections& all)
    : socket_(std::move(socket)),
      door_(door),
      all_(all),
      place_(all.open.insert(all.open.end(), this)),
      pause_(socket_.get_executor()) {
  ++door_.connections;
  boost::system::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  enter(Phase::kIdle, door_.options.http.idle_timeout);
}

Connection::~Connection() {
  --door_.connections;
  all_.open.erase(place_);
}

void Connection::start() {
  auto self = shared_from_this();
  auto ended = [self](std::exception_ptr failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& e) {
      log(node::LogLevel::kError, "a connection ended with an exception", {{"what", std::string(e.what())}});
    }
  };
  asio::co_spawn(socket_.get_executor(), run(), std::move(ended));
}

void Connection::enter(Phase phase, Milliseconds limit) {
  phase_ = phase;
  if (door_.draining && (phase == Phase::kHead || phase == Phase::kBody)) limit = std::min(limit, kDrainRead);
  deadline_ = Steady::now() + limit;
}

void Connection::sweep(Steady::time_point now) {
  if (phase_ == Phase::kCall) look_whether_gone();
  if (now < deadline_) return;
  boost::system::error_code ignored;
  switch (phase_) {
    case Phase::kHead:
    case Phase::kBody:
      timed_out_ = true;
      socket_.cancel(ignored);
      deadline_ = now + kCancelled;
      return;
    case Phase::kCall:
      return give_up();
    default:
      cut();
  }
}

void Connection::give_up() {
  auto answer = given_up(door_, *request_);
  request_->gone->store(true);
  exchange_->answer(std::move(answer));
}

void Connection::cut() {
  boost::system::error_code ignored;
  dead_ = true;
  pause_.cancel();
  socket_.close(ignored);
}

void Connection::drain() {
  switch (phase_) {
    case Phase::kIdle:
    case Phase::kLinger:
    case Phase::kStream:
      return cut();
    case Phase::kHead:
    case Phase::kBody:
      deadline_ = std::min(deadline_, Steady::now() + kDrainRead);
      return;
    case Phase::kCall:
    case Phase::kWrite:
      return;
  }
}

void Connection::force(bool close) {
  if (phase_ == Phase::kCall) give_up();
  if (close) cut();
}

awaitable<void> Connection::run() {
  auto self = shared_from_this();
  bool open = true;
  while (open) open = co_await serve_one();
  if (!dead_) co_await linger();
}

awaitable<bool> Connection::serve_one() {
  auto request = std::make_shared<Request>();
  request->gone = std::make_shared<std::atomic<bool>>(false);
  auto size = co_await read_head();
  if (!size) co_return false;
  std::optional<Error> refused;
  if (*size) {
    const std::size_t skipped = in_.starts_with("\r\n") ? 2 : 0;
    auto parsed = parse_head(std::string_view(in_).substr(skipped, **size - skipped));
    in_.erase(0, **size);
    request->head = std::move(parsed.head);
    refused = std::move(parsed.error);
  } else {
    refused = size->error();
  }
  auto response = co_await answer(request, std::move(refused));
  const bool goes_on = co_await send(request, std::move(response));
  co_return goes_on;
}

/// None = the connection ended between requests. An error is answered, then the connection closes.
awaitable<std::optional<Result<std::size_t>>> Connection::read_head() {
  using Out = std::optional<Result<std::size_t>>;
  HeadScanner scanner;
  enter(Phase::kIdle, door_.options.http.idle_timeout);
  for (;;) {
    if (!in_.empty() && phase_ == Phase::kIdle) {
      enter(Phase::kHead, door_.options.http.request_timeout);
      started_ = Steady::now();
    }
    auto found = scanner.scan(in_);
    if (!found) co_return Out(Result<std::size_t>(found.error()));
    if (*found) co_return Out(Result<std::size_t>(**found));
    if (phase_ == Phase::kIdle && door_.draining) co_return Out();
    const bool more = co_await read_some(in_, kReadBytes);
    if (timed_out_) co_return Out(Result<std::size_t>(too_slow(door_, "head")));
    if (!more) {
      if (in_.empty() || dead_) co_return Out();
      co_return Out(Result<std::size_t>(invalid("invalid", "The request ended inside its head.")));
    }
  }
}

awaitable<Response> Connection::answer(RequestPtr request, std::optional<Error> refused) {
  if (refused) {
    if (!request->head.target.empty()) {
      auto routed = route(request->head.method, request->head.target);
      request->route = routed.route;
      request->captures = std::move(routed.captures);
    }
    co_return problem_and_close(*refused);
  }
  auto refusal = preflight(door_, *request);
  const bool small = request->head.content_length <= kDroppedBodyBytes && !request->head.expect_continue;
  if (refusal && request->head.content_length > 0 && (!small || refusal->status == 413)) {
    refusal->close = true;  // its body is not worth reading, so what follows is no request
    co_return std::move(*refusal);
  }
  MemoryShare share(door_.body_bytes, door_.options.body_memory);
  auto cut_short = co_await read_body(request, share);
  if (cut_short) co_return std::move(*cut_short);
  if (refusal) co_return std::move(*refusal);
  auto response = co_await call(request, share);
  co_return response;
}

/// An answer when the body did not come whole.
awaitable<std::optional<Response>> Connection::read_body(RequestPtr request, MemoryShare& share) {
  using Out = std::optional<Response>;
  const std::size_t length = request->head.content_length;
  const auto spent = std::chrono::duration_cast<Milliseconds>(Steady::now() - started_);
  enter(Phase::kBody, door_.options.http.request_timeout - spent);
  while (request->body.size() < length) {
    const std::size_t missing = length - request->body.size();
    const std::size_t here = in_.empty() ? std::min(missing, kBodyReadBytes) : std::min(missing, in_.size());
    if (!share.take(here)) {
      co_return Out(problem_and_close(
          unavailable("overloaded", "The node holds as many request bodies as it may. Try again.")));
    }
    if (!in_.empty()) {
      request->body.append(in_, 0, here);
      in_.erase(0, here);
      continue;
    }
    if (request->head.expect_continue && request->body.empty()) {
      const bool sent = co_await write(kContinue);
      if (!sent) co_return Out(Response());
    }
    const std::size_t had = request->body.size();
    const bool more = co_await read_some(request->body, here);
    if (timed_out_) co_return Out(problem_and_close(too_slow(door_, "body")));
    if (!more) co_return Out(problem_and_close(invalid("invalid", "The request ended inside its body.")));
    share.give_back(here - (request->body.size() - had));
  }
  co_return Out();
}

awaitable<Response> Connection::call(RequestPtr request, MemoryShare& body) {
  auto exchange = std::make_shared<Exchange>();
  exchange_ = exchange;
  request_ = request;
  enter(Phase::kCall, door_.options.http.request_timeout);
  request->route->handler(door_, request,
                          [exchange](Response response) { exchange->answer(std::move(response)); });
  free_bytes(request->body);
  // Who waits holds no body any more, here or at the node: a begin's was hashed, a write's goes into the next
  // batch. Any other write is answered with its batch, and until then its body is somewhere.
  if (request->patience.count() > 0 || request->route->body == BodyKind::kPayload) body.end();
  if (!exchange->answered) {
    deadline_ += request->patience;
    if (request->ends_with_caller) watch(request);
    auto initiation = [exchange](auto handler) {
      exchange->resume = std::make_unique<ResumeOf<decltype(handler)>>(std::move(handler));
    };
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiation, asio::use_awaitable);
  }
  exchange_ = nullptr;
  request_ = nullptr;
  request->waiter = nullptr;
  co_return std::move(*exchange->response);
}

void Connection::watch(const RequestPtr& request) {
  auto self = shared_from_this();
  socket_.async_wait(asio::socket_base::wait_read, [self, request](boost::system::error_code ec) {
    if (!ec && self->request_ == request) self->look_whether_gone();
  });
}

bool Connection::peer_closed() {
  pollfd looked{socket_.native_handle(), POLLRDHUP, 0};
  return ::poll(&looked, 1, 0) > 0 && (looked.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void Connection::look_whether_gone() {
  if (!request_->ends_with_caller || request_->gone->load() || !peer_closed()) return;
  request_->gone->store(true);
  if (request_->route->method == "GET") {
    exchange_->answer(
        problem_and_close(invalid("timed_out", "The connection was closed while the call waited.")));
  } else {
    // A begin may have gone just before it was told; its caller may still listen. From now on it never goes,
    // and is not answered either.
    deadline_ = std::min(deadline_, Steady::now() + kGoneGrace);
  }
}

awaitable<bool> Connection::read_some(std::string& into, std::size_t most) {
  const std::size_t had = into.size();
  into.resize(had + most);
  const asio::mutable_buffer room(into.data() + had, most);
  auto [ec, count] = co_await socket_.async_read_some(room, kUse);
  into.resize(had + count);
  if (ec && ec != asio::error::eof && ec != asio::error::operation_aborted) dead_ = true;
  co_return !ec;
}

}  // namespace refrain::server
