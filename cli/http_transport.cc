// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/result.h"
#include "cli/transport.h"

namespace refrain::cli {
namespace {

constexpr Milliseconds kConnectTimeout{5'000};
constexpr Milliseconds kPatience{35'000};  // a node answers within 30 s unless it was asked to wait

struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Handle = std::unique_ptr<CURL, FreeHandle>;
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

std::size_t take_body(char* bytes, std::size_t, std::size_t count, void* answer) {
  static_cast<Answer*>(answer)->body.append(bytes, count);
  return count;
}

std::size_t take_header(char* bytes, std::size_t, std::size_t count, void* answer) {
  std::string_view line(bytes, count);
  auto& headers = static_cast<Answer*>(answer)->headers;
  if (line.starts_with("HTTP/")) headers.clear();  // those of a 100 Continue
  auto colon = line.find(':');
  if (colon == std::string_view::npos) return count;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  auto value = line.substr(colon + 1);
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.front()))) value.remove_prefix(1);
  while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back()))) value.remove_suffix(1);
  headers[name] = std::string(value);
  return count;
}

std::string without_proxy() {
  const char* set = std::getenv("no_proxy");
  if (!set) set = std::getenv("NO_PROXY");
  return fmt::format("{}{}localhost,127.0.0.1,::1", set ? set : "", set && *set ? "," : "");
}

class HttpTransport final : public Transport {
 public:
  explicit HttpTransport(std::string server) : server_(std::move(server)), handle_(curl_easy_init()) {
    REFRAIN_ASSERT(handle_ != nullptr, "libcurl gives a handle");
  }

  tl::expected<Answer, NoAnswer> call(const Call& call) override {
    Answer answer;
    HeaderList headers = header_list(call);
    prepare(call, answer, headers.get());
    CURLcode code = curl_easy_perform(handle_.get());
    if (code != CURLE_OK) return tl::unexpected(NoAnswer{failure(code)});
    long status = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    return answer;
  }

 private:
  static HeaderList header_list(const Call& call) {
    HeaderList list;
    auto add = [&](const std::string& line) { list.reset(curl_slist_append(list.release(), line.c_str())); };
    for (const std::string& header : call.headers) add(header);
    add(call.content_type.empty() ? "Content-Type:" : "Content-Type: " + call.content_type);
    add("Expect:");  // bodies are small: a round trip for the permission costs more
    return list;
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    REFRAIN_ASSERT(curl_easy_setopt(handle_.get(), option, value) == CURLE_OK, "libcurl knows its options");
  }

  void prepare(const Call& call, Answer& answer, curl_slist* headers) {
    curl_easy_reset(handle_.get());  // connections stay
    *error_ = '\0';
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_URL, (server_ + call.target).c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_NOPROXY, no_proxy_.c_str());
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "refrain");
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(kConnectTimeout.count()));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>((kPatience + call.wait).count()));
    set(CURLOPT_WRITEFUNCTION, take_body);
    set(CURLOPT_WRITEDATA, &answer);
    set(CURLOPT_HEADERFUNCTION, take_header);
    set(CURLOPT_HEADERDATA, &answer);
    if (call.method != "GET") {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
      set(CURLOPT_POSTFIELDS, call.body.data());
      set(CURLOPT_CUSTOMREQUEST, call.method.c_str());
    }
  }

  std::string failure(CURLcode code) const {
    long reason = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_OS_ERRNO, &reason);
    std::string why = *error_ ? error_ : curl_easy_strerror(code);
    // The system's word ("Connection refused") says more than "Couldn't connect to server".
    if (code == CURLE_COULDNT_CONNECT && reason != 0) why = std::strerror(static_cast<int>(reason));
    return fmt::format("cannot reach {}: {}", server_, why);
  }

  std::string server_;
  std::string no_proxy_ = without_proxy();
  Handle handle_;
  char error_[CURL_ERROR_SIZE] = {};
};

std::string encoded(std::string_view text, std::string_view plain) {
  std::string out;
  for (char c : text) {
    bool unreserved = std::isalnum(static_cast<unsigned char>(c)) || plain.find(c) != std::string_view::npos;
    if (unreserved)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace

std::unique_ptr<Transport> http_transport(std::string server) {
  return std::make_unique<HttpTransport>(std::move(server));
}

std::string percent_encoded(std::string_view text) {
  return encoded(text, "-._~");
}
std::string percent_encoded_key(std::string_view key) {
  return encoded(key, "-._~/");
}

}  // namespace refrain::cli
