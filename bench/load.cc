// SPDX-License-Identifier: Apache-2.0
// The load generator: one thread, kept-alive connections, each with one call under way. Prints one line of
// JSON.
//
//   bench_load WHAT PORT --connections 64 --seconds 5 [--count N] [--value 100] [--prefix P]
//                        [--rate N] [--samples FILE]
//
// WHAT: put    PUT /v1/kv/bench/KEY
//       pairs  begin, then complete with the token from its answer
//       redis  SET ID v NX PX 30000, then SET ID v
// An operation is one put or one pair. Its time is from the first byte sent to the last answer. --count ends
// the run after N operations instead, SIGTERM at once. Any answer other than success ends it with exit 1.
// --rate N begins N operations a second, however long answers take; the time of one is then from the moment
// at which it was due, so that a pause shows in all that it held up. --samples FILE: a line for each put,
// `end in ms since 1970 <tab> microseconds <tab> key <tab> version`, as they end.
#include <algorithm>
#include <boost/asio.hpp>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "bench_load: %s\n", why.c_str());
  std::_Exit(1);
}

struct Plan {
  std::string what;
  unsigned short port = 0;
  int connections = 64;
  double seconds = 5;
  std::uint64_t count = 0;  // 0: as many as fit into the time
  std::size_t value = 100;
  std::string prefix = "k";
  double rate = 0;  // operations a second; 0: one after the other in each connection
  std::string samples;
};

/// What all connections share.
struct Run {
  Plan plan;
  std::string value;
  Clock::time_point begin, end;
  std::uint64_t started = 0;
  std::vector<std::uint32_t> micros;
  bool stopped = false;
  int working = 0;  // connections
  std::function<void()> all_done;
  std::FILE* samples = nullptr;

  bool more() const {
    return !stopped && (plan.count ? started < plan.count : plan.rate > 0 ? due() < end : Clock::now() < end);
  }
  void one_is_done() {
    if (--working == 0) all_done();
  }
  /// When the next operation is to begin; only with a rate.
  Clock::time_point due() const {
    auto seconds = std::chrono::duration<double>(static_cast<double>(started) / plan.rate);
    return begin + std::chrono::duration_cast<Clock::duration>(seconds);
  }
};

std::string http_call(std::string_view method, const std::string& path, std::string_view type,
                      std::string_view body) {
  std::string text(method);
  text += " " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: ";
  text += type;
  text += "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  text += body;
  return text;
}

std::string redis_call(const std::vector<std::string>& words) {
  std::string text = "*" + std::to_string(words.size()) + "\r\n";
  for (const auto& word : words) text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return text;
}

/// The length of the whole HTTP answer at the front of `text`; 0 while some of it is missing.
std::size_t http_answer(std::string_view text) {
  auto head = text.find("\r\n\r\n");
  if (head == text.npos) return 0;
  static constexpr std::string_view kName = "content-length:";
  std::size_t body = 0;
  for (std::size_t at = text.find("\r\n"); at < head; at = text.find("\r\n", at + 2)) {
    auto line = text.substr(at + 2, head - at);
    bool same = line.size() > kName.size() &&
                std::equal(kName.begin(), kName.end(), line.begin(),
                           [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
    if (!same) continue;
    auto digits = line.substr(kName.size());
    digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
    std::from_chars(digits.data(), digits.data() + digits.size(), body);
  }
  return text.size() >= head + 4 + body ? head + 4 + body : 0;
}

/// The ETag of an answer, without its quotes.
std::string_view version_in(std::string_view text) {
  static constexpr std::string_view kName = "\r\nETag: \"";
  auto at = text.find(kName);
  if (at == text.npos) return {};
  text.remove_prefix(at + kName.size());
  return text.substr(0, text.find('"'));
}

class Caller {
 public:
  Caller(asio::io_context& io, Run& run) : socket_(io), timer_(io), run_(run) {
    socket_.connect({asio::ip::address_v4::loopback(), run.plan.port});
    socket_.set_option(Tcp::no_delay(true));
  }

  void next_operation() {
    if (!run_.more()) return run_.one_is_done();
    since_ = run_.plan.rate > 0 ? run_.due() : Clock::now();
    id_ = run_.plan.prefix + std::to_string(run_.started++);
    second_ = false;
    if (since_ <= Clock::now()) return begin();
    timer_.expires_at(since_);
    timer_.async_wait([this](auto) { begin(); });
  }

 private:
  void begin() {
    const auto& what = run_.plan.what;
    if (what == "put") {
      send(http_call("PUT", "/v1/kv/bench/" + id_, "application/octet-stream", run_.value));
    } else if (what == "pairs") {
      send(http_call("POST", "/v1/requests/bench/" + id_ + "/begin", "text/plain", "a payload"));
    } else {
      send(redis_call({"SET", id_, run_.value, "NX", "PX", "30000"}));
    }
  }

  void send(std::string text) {
    out_ = std::move(text);
    in_.clear();
    asio::async_write(socket_, asio::buffer(out_), [this](auto error, std::size_t) {
      if (error) fail("write: " + error.message());
      read();
    });
  }

  void read() {
    socket_.async_read_some(asio::buffer(chunk_), [this](auto error, std::size_t size) {
      if (error) fail("read: " + error.message());
      in_.append(chunk_.data(), size);
      bool whole = run_.plan.what == "redis" ? in_.ends_with("\r\n") : http_answer(in_) > 0;
      whole ? answered() : read();
    });
  }

  void answered() {
    bool redis = run_.plan.what == "redis";
    if (redis ? !in_.starts_with("+OK") : !in_.starts_with("HTTP/1.1 2")) fail("answer: " + in_);
    if (run_.plan.what != "put" && !second_) {
      second_ = true;
      return send(redis ? redis_call({"SET", id_, run_.value}) : complete());
    }
    auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - since_);
    run_.micros.push_back(static_cast<std::uint32_t>(took.count()));
    if (run_.samples) note(took);
    next_operation();
  }

  void note(std::chrono::microseconds took) const {
    auto now = std::chrono::system_clock::now().time_since_epoch();
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    std::string version(version_in(in_));
    std::fprintf(run_.samples, "%lld\t%lld\t%s\t%s\n", static_cast<long long>(ms),
                 static_cast<long long>(took.count()), id_.c_str(), version.c_str());
  }

  std::string complete() const {
    static constexpr std::string_view kName = R"("token":")";
    auto at = in_.find(kName);
    if (at == in_.npos) fail("no token: " + in_);
    at += kName.size();
    std::string body = R"({"token":")" + in_.substr(at, in_.find('"', at) - at) +
                       R"(","response":{"body":")" + run_.value + R"("}})";
    return http_call("POST", "/v1/requests/bench/" + id_ + "/complete", "application/json", body);
  }

  Tcp::socket socket_;
  asio::steady_timer timer_;  // until the next operation is due
  Run& run_;
  std::string id_, out_, in_;
  std::array<char, 8192> chunk_;
  bool second_ = false;
  Clock::time_point since_;
};

Plan plan_of(int argc, char** argv) {
  if (argc < 3 || argc % 2 == 0) fail("usage: bench_load put|pairs|redis PORT [--FLAG VALUE]...");
  Plan plan;
  plan.what = argv[1];
  plan.port = static_cast<unsigned short>(std::atoi(argv[2]));
  if (plan.what != "put" && plan.what != "pairs" && plan.what != "redis") fail("no such load: " + plan.what);
  for (int i = 3; i < argc; i += 2) {
    std::string flag = argv[i];
    const char* value = argv[i + 1];
    if (flag == "--connections") {
      plan.connections = std::atoi(value);
    } else if (flag == "--seconds") {
      plan.seconds = std::atof(value);
    } else if (flag == "--count") {
      plan.count = std::strtoull(value, nullptr, 10);
    } else if (flag == "--value") {
      plan.value = std::strtoull(value, nullptr, 10);
    } else if (flag == "--prefix") {
      plan.prefix = value;
    } else if (flag == "--rate") {
      plan.rate = std::atof(value);
    } else if (flag == "--samples") {
      plan.samples = value;
    } else {
      fail("no such flag: " + flag);
    }
  }
  return plan;
}

/// Text that does not compress well, the same in every run.
std::string some_value(std::size_t size) {
  std::mt19937_64 random(1);
  std::string text;
  while (text.size() < size)
    text += "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[random() % 64];
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  Run run;
  run.plan = plan_of(argc, argv);
  run.value = some_value(run.plan.value);
  run.micros.reserve(1 << 20);
  asio::io_context io(1);
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < run.plan.connections; ++i) callers.push_back(std::make_unique<Caller>(io, run));
  if (!run.plan.samples.empty() && !(run.samples = std::fopen(run.plan.samples.c_str(), "w")))
    fail("cannot write " + run.plan.samples);
  asio::signal_set signals(io, SIGTERM);
  signals.async_wait([&](auto, int) { run.stopped = true; });
  run.working = run.plan.connections;
  run.all_done = [&] { signals.cancel(); };
  auto start = Clock::now();
  run.begin = start;
  run.end =
      start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(run.plan.seconds));
  for (auto& caller : callers) caller->next_operation();
  io.run();
  double took = std::chrono::duration<double>(Clock::now() - start).count();
  if (run.samples) std::fclose(run.samples);
  auto& micros = run.micros;
  if (micros.empty()) fail("no operation ended");
  std::sort(micros.begin(), micros.end());
  auto part = [&](double p) {
    auto at = static_cast<std::size_t>(p * static_cast<double>(micros.size()));
    return micros[std::min(at, micros.size() - 1)] / 1000.0;
  };
  std::printf(R"({"operations":%zu,"per_second":%.1f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f})"
              "\n",
              micros.size(), static_cast<double>(micros.size()) / took, part(0.5), part(0.99),
              micros.back() / 1000.0);
}
