// SPDX-License-Identifier: Apache-2.0
// What goes over the wire, against a socket that answers once with given bytes.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "cli/transport.h"

namespace refrain::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// Takes one connection, reads one request (head and Content-Length bytes), answers and closes.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer)
      : answer_(std::move(answer)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_, 1), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~OneAnswer() {
    ::shutdown(socket_, SHUT_RDWR);  // in case nobody came
    thread_.join();
    ::close(socket_);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::string request() {
    thread_.join();
    thread_ = std::thread([] {});
    return request_;
  }

 private:
  bool whole() const {
    auto end = request_.find("\r\n\r\n");
    auto length = request_.find("Content-Length: ");
    if (end == std::string::npos) return false;
    std::size_t body = length == std::string::npos ? 0 : std::stoul(request_.substr(length + 16));
    return request_.size() >= end + 4 + body;
  }
  void run() {
    int connection = ::accept(socket_, nullptr, nullptr);
    if (connection < 0) return;
    char buffer[4096];
    while (!whole()) {
      auto got = ::read(connection, buffer, sizeof buffer);
      if (got <= 0) break;
      request_.append(buffer, static_cast<std::size_t>(got));
    }
    EXPECT_EQ(::write(connection, answer_.data(), answer_.size()), static_cast<ssize_t>(answer_.size()));
    ::close(connection);
  }

  std::string answer_;
  std::string request_;
  int socket_;
  int port_ = 0;
  std::thread thread_;
};

TEST(HttpTransport, SendsTheCallAsItIsAndReadsTheAnswer) {
  Call call{.method = "PUT",
            .target = "/v1/kv/orders/a%2Fb?ack=all",
            .headers = {"If-None-Match: *"},
            .body = std::string("x\0y", 3),
            .content_type = "application/octet-stream"};
  OneAnswer binary("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nRefrain-Session:  abc \r\n\r\n" +
                   std::string("a\0b", 3));
  auto answer = http_transport(binary.url())->call(call);
  ASSERT_TRUE(answer) << answer.error().why;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, std::string("a\0b", 3));
  EXPECT_EQ(answer->header("refrain-session"), "abc");
  std::string request = binary.request();
  EXPECT_THAT(request, StartsWith("PUT /v1/kv/orders/a%2Fb?ack=all HTTP/1.1\r\n"));
  EXPECT_THAT(request, HasSubstr("If-None-Match: *\r\n"));
  EXPECT_THAT(request, HasSubstr("Content-Type: application/octet-stream\r\n"));
  EXPECT_THAT(request, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_TRUE(request.ends_with(std::string("\r\n\r\nx\0y", 7)));
  EXPECT_THAT(request, Not(HasSubstr("Expect")));
}

TEST(HttpTransport, PostsWithoutABodySayThatItIsEmpty) {
  OneAnswer node("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(http_transport(node.url())
                  ->call({.method = "POST",
                          .target = "/v1/events/retry",
                          .headers = {},
                          .body = "",
                          .content_type = ""}));
  std::string request = node.request();
  EXPECT_THAT(request, HasSubstr("Content-Length: 0\r\n"));
  EXPECT_THAT(request, Not(HasSubstr("Content-Type")));
}

TEST(HttpTransport, AReadSendsNoBody) {
  OneAnswer node("HTTP/1.1 304 Not Modified\r\n\r\n");
  auto answer = http_transport(node.url())->call(Call{});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 304);
  EXPECT_THAT(node.request(), Not(HasSubstr("Content-Length")));
}

TEST(HttpTransport, ForgetsTheHeadersOfAnInterimAnswer) {
  OneAnswer node("HTTP/1.1 100 Continue\r\nX-Old: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  auto answer = http_transport(node.url())->call(Call{});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->header("x-old"), "");
}

TEST(HttpTransport, SaysWhyNobodyAnswers) {
  auto answer = http_transport("http://127.0.0.1:1")->call(Call{});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().why, "cannot reach http://127.0.0.1:1: Connection refused");
}

TEST(HttpTransport, AnAnswerThatIsCutShortIsNone) {
  OneAnswer node("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  EXPECT_FALSE(http_transport(node.url())->call(Call{}));
}

TEST(HttpTransport, GoesToLoopbackDirectlyWhateverTheProxy) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  OneAnswer node("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(http_transport(node.url())->call(Call{}));
  unsetenv("http_proxy");
}

TEST(PercentEncoding, LeavesOnlyWhatNeedsNone) {
  EXPECT_EQ(percent_encoded("aZ9-._~"), "aZ9-._~");
  EXPECT_EQ(percent_encoded("a/b c%\xC3\xA4?&="), "a%2Fb%20c%25%C3%A4%3F%26%3D");
  EXPECT_EQ(percent_encoded_key("a/b c"), "a/b%20c");
  EXPECT_EQ(Target("/x").with("a", "1 2").with("b", "/").text(), "/x?a=1%202&b=%2F");
}

}  // namespace
}  // namespace refrain::cli
