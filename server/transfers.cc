// SPDX-License-Identifier: Apache-2.0
#include "server/transfers.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace refrain::server {
namespace {

constexpr Milliseconds kConnect{2'000};
constexpr long kSilentSeconds = 60;
constexpr long kReadBytes = 256L * 1024;  // at once
constexpr int kPollMs = 1'000;

struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

/// A transfer with its libcurl handle. Background thread only.
struct Running {
  std::shared_ptr<Transfer> transfer;
  std::unique_ptr<CURL, FreeHandle> handle{curl_easy_init()};
  char reason[CURL_ERROR_SIZE] = {};
  std::string refusal;  // the body of an answer that is not 200
};

long status_of(const Running& running) {
  long status = 0;
  curl_easy_getinfo(running.handle.get(), CURLINFO_RESPONSE_CODE, &status);
  return status;
}

std::uint64_t rows_of(const Running& running) {
  curl_header* header = nullptr;
  if (curl_easy_header(running.handle.get(), kSnapshotRows, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
    return 0;
  return std::strtoull(header->value, nullptr, 10);
}

std::size_t take(char* bytes, std::size_t, std::size_t count, void* to) {
  auto& running = *static_cast<Running*>(to);
  if (status_of(running) != 200) {
    if (running.refusal.size() + count <= 64 * 1024) running.refusal.append(bytes, count);
    return count;
  }
  auto& transfer = *running.transfer;
  std::lock_guard lock(transfer.mutex);
  if (!transfer.bytes.empty() && transfer.bytes.size() + count > transfer.most_bytes) {
    if (transfer.limit.count() > 0) return 0;  // nobody takes parts of it: too large
    transfer.paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (transfer.rows == 0) transfer.rows = rows_of(running);
  transfer.bytes.append(bytes, count);
  return count;
}

std::string without_proxy() {
  const char* set = std::getenv("no_proxy");
  if (!set) set = std::getenv("NO_PROXY");
  return fmt::format("{}{}localhost,127.0.0.1,::1", set ? set : "", set && *set ? "," : "");
}

/// The detail of the peer's problem, when it is one.
std::string why_refused(const Running& running) {
  boost::system::error_code ec;
  const auto parsed = boost::json::parse(running.refusal, ec);
  const auto* object = ec ? nullptr : parsed.if_object();
  const auto* detail = object ? object->if_contains("detail") : nullptr;
  const std::string said =
      detail && detail->is_string() ? std::string(detail->as_string()) : "no reason given";
  return fmt::format("{} answered {}: {}", running.transfer->url, status_of(running), said);
}

std::optional<Error> error_of(const Running& running, CURLcode code) {
  const auto failed = [](std::string why) { return unavailable("peer_unavailable", std::move(why)); };
  if (code == CURLE_OK && status_of(running) == 200) return std::nullopt;
  if (code == CURLE_OK) return failed(why_refused(running));
  long system = 0;
  curl_easy_getinfo(running.handle.get(), CURLINFO_OS_ERRNO, &system);
  std::string why = *running.reason ? running.reason : curl_easy_strerror(code);
  if (code == CURLE_COULDNT_CONNECT && system != 0) why = std::strerror(static_cast<int>(system));
  if (code == CURLE_WRITE_ERROR) why = "the answer is too large";
  return failed(fmt::format("{}: {}", running.transfer->url, why));
}

}  // namespace

struct Transfers::Parts {
  CURLM* multi = curl_multi_init();
  std::string agent;
  std::string no_proxy = without_proxy();
  std::mutex mutex;
  std::vector<std::shared_ptr<Transfer>> asked;
  std::atomic<bool> stopping{false};
  std::vector<std::unique_ptr<Running>> running;  // background thread only
  std::thread thread;

  void loop();
  void begin_asked();
  void begin(std::shared_ptr<Transfer> transfer);
  void look_after();
  void end_finished();
  void remove(CURL* handle);
};

void Transfers::Parts::begin(std::shared_ptr<Transfer> transfer) {
  auto one = std::make_unique<Running>();
  one->transfer = std::move(transfer);
  CURL* handle = one->handle.get();
  REFRAIN_ASSERT(handle != nullptr, "libcurl gives a handle");
  const auto set = [handle](CURLoption option, auto value) {
    REFRAIN_ASSERT(curl_easy_setopt(handle, option, value) == CURLE_OK, "libcurl knows its options");
  };
  set(CURLOPT_URL, one->transfer->url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOPROXY, no_proxy.c_str());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, agent.c_str());
  set(CURLOPT_ERRORBUFFER, one->reason);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(kConnect.count()));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(one->transfer->limit.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
  set(CURLOPT_BUFFERSIZE, kReadBytes);
  set(CURLOPT_WRITEFUNCTION, take);
  set(CURLOPT_WRITEDATA, one.get());
  curl_multi_add_handle(multi, handle);
  running.push_back(std::move(one));
}

void Transfers::Parts::begin_asked() {
  std::vector<std::shared_ptr<Transfer>> now;
  {
    std::lock_guard lock(mutex);
    now.swap(asked);
  }
  for (auto& transfer : now) begin(std::move(transfer));
}

/// Ends those that nobody waits for any more and goes on with those that have room again.
void Transfers::Parts::look_after() {
  std::vector<CURL*> abandoned;
  for (auto& one : running) {
    if (one->transfer->abandoned) {
      abandoned.push_back(one->handle.get());
      continue;
    }
    bool resume = false;
    {
      std::lock_guard lock(one->transfer->mutex);
      resume = one->transfer->paused && one->transfer->bytes.size() * 2 <= one->transfer->most_bytes;
      if (resume) one->transfer->paused = false;
    }
    if (resume) curl_easy_pause(one->handle.get(), CURLPAUSE_CONT);
  }
  for (CURL* handle : abandoned) remove(handle);
}

void Transfers::Parts::remove(CURL* handle) {
  curl_multi_remove_handle(multi, handle);
  std::erase_if(running, [handle](const auto& one) { return one->handle.get() == handle; });
}

void Transfers::Parts::end_finished() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* handle = message->easy_handle;
    const CURLcode code = message->data.result;
    const auto found = std::ranges::find(running, handle, [](const auto& one) { return one->handle.get(); });
    {
      auto& transfer = *(*found)->transfer;
      std::lock_guard lock(transfer.mutex);
      transfer.error = error_of(**found, code);
      transfer.ended = true;
    }
    remove(handle);
  }
}

void Transfers::Parts::loop() {
  while (!stopping) {
    begin_asked();
    look_after();
    int active = 0;
    curl_multi_perform(multi, &active);
    end_finished();
    curl_multi_poll(multi, nullptr, 0, kPollMs, nullptr);
  }
  while (!running.empty()) remove(running.back()->handle.get());
}

Transfers::Transfers(const std::string& agent) : parts_(std::make_unique<Parts>()) {
  parts_->agent = agent;
  REFRAIN_ASSERT(parts_->multi != nullptr, "libcurl gives a multi handle");
  parts_->thread = std::thread([parts = parts_.get()] {
    pthread_setname_np(pthread_self(), "refrain-peers");
    parts->loop();
  });
}

Transfers::~Transfers() {
  parts_->stopping = true;
  wake();
  parts_->thread.join();
  curl_multi_cleanup(parts_->multi);
}

void Transfers::start(std::shared_ptr<Transfer> transfer) {
  {
    std::lock_guard lock(parts_->mutex);
    parts_->asked.push_back(std::move(transfer));
  }
  wake();
}

void Transfers::wake() {
  curl_multi_wakeup(parts_->multi);
}

}  // namespace refrain::server
