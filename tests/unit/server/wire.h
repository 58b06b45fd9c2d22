// SPDX-License-Identifier: Apache-2.0
// A client that says exactly the bytes it is given, over a real loopback socket.
#pragma once
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fake_node.h"
#include "server/server.h"

namespace refrain::server {

struct WireAnswer {
  int status = 0;                              // 0 = the connection ended instead
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

class Wire {
 public:
  /// `room`: of the kernel for what was sent to us and not yet heard, as good as it keeps to that; 0 =
  /// plenty.
  explicit Wire(std::uint16_t port, int room = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (room > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval patience{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~Wire() { close(); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  bool connected() const { return connected_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void shut_writing() { ::shutdown(fd_, SHUT_WR); }

  /// False once the other side has closed: some refusals come before the last byte.
  bool say(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void say_byte_by_byte(std::string_view bytes) {
    for (char c : bytes) {
      if (!say({&c, 1})) return;
    }
  }

  WireAnswer hear(bool head_only = false) {
    WireAnswer answer;
    while (in_.find("\r\n\r\n") == std::string::npos) {
      if (!more()) return answer;
    }
    const auto end = in_.find("\r\n\r\n");
    read_head(answer, in_.substr(0, end));
    in_.erase(0, end + 4);
    if (answer.status == 100) return answer;
    if (head_only || answer.status == 304) return answer;
    if (answer.header("transfer-encoding") == "chunked") {
      read_chunks(answer);
    } else {
      const auto length = static_cast<std::size_t>(std::stoul("0" + answer.header("content-length")));
      while (in_.size() < length && more()) {
      }
      answer.body = in_.substr(0, length);
      in_.erase(0, length);
    }
    return answer;
  }

  /// True when the other side said that no more comes, and nothing came before that.
  bool ended() {
    while (more()) {
    }
    return in_.empty() && eof_;
  }

  WireAnswer ask(std::string_view bytes, bool head_only = false) {
    say(bytes);
    return hear(head_only);
  }

 private:
  bool more() {
    char bytes[65536];
    const auto n = ::recv(fd_, bytes, sizeof bytes, 0);
    eof_ = eof_ || n == 0;
    if (n <= 0) return false;
    in_.append(bytes, static_cast<std::size_t>(n));
    return true;
  }
  static void read_head(WireAnswer& answer, const std::string& head) {
    answer.status = std::stoi(head.substr(9, 3));
    std::size_t at = head.find("\r\n");
    while (at != std::string::npos) {
      const auto next = head.find("\r\n", at + 2);
      const auto line = head.substr(at + 2, next == std::string::npos ? next : next - at - 2);
      const auto colon = line.find(": ");
      std::string name = line.substr(0, colon);
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
      answer.headers[name] = colon == std::string::npos ? "" : line.substr(colon + 2);
      at = next;
    }
  }
  void read_chunks(WireAnswer& answer) {
    for (;;) {
      while (in_.find("\r\n") == std::string::npos) {
        if (!more()) return void(answer.status = 0);  // cut off
      }
      const auto line = in_.find("\r\n");
      const auto size = std::stoul(in_.substr(0, line), nullptr, 16);
      while (in_.size() < line + 2 + size + 2) {
        if (!more()) return void(answer.status = 0);
      }
      answer.body += in_.substr(line + 2, size);
      in_.erase(0, line + 2 + size + 2);
      if (size == 0) return;
    }
  }

  int fd_;
  bool connected_ = false;
  bool eof_ = false;
  std::string in_;
};

inline std::string http(std::string_view method, std::string_view target, std::string_view body = "",
                        std::string_view headers = "") {
  std::string out =
      std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: x\r\n" + std::string(headers);
  if (!body.empty() || method == "PUT" || method == "POST") {
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return out + "\r\n" + std::string(body);
}

/// A server on a free port with a fake node behind it.
struct Served {
  explicit Served(Options options = {}, bool with_node = true) {
    options.http.port = 0;
    server = std::move(Server::open(options)).value();
    if (with_node) server->serve(node);
    server->start();
  }
  ~Served() {
    if (server) server->stop(Milliseconds{10'000});
  }
  WireAnswer ask(std::string_view method, std::string_view target, std::string_view body = "",
                 std::string_view headers = "") {
    Wire wire(server->port());
    return wire.ask(http(method, target, body, headers), method == "HEAD");
  }
  FakeNode node;
  std::unique_ptr<Server> server;
};

}  // namespace refrain::server
