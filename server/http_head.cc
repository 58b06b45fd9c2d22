// SPDX-License-Identifier: Apache-2.0
#include "server/http_head.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

namespace refrain::server {
namespace {

namespace http = boost::beast::http;

Error bad(std::string detail) {
  return invalid("invalid", std::move(detail));
}

bool may_stand_in_request_line(unsigned char c) {
  return c >= 0x20 && c < 0x7F;
}
bool may_stand_in_header(unsigned char c) {
  return (c >= 0x20 && c != 0x7F) || c == '\t';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

/// Beast splits the head into its parts; what they mean is decided below. It is given whole heads only: fed
/// in tiny pieces, Beast 1.81 ends the process on an assertion.
class Splitter : public http::basic_parser<true> {
 public:
  explicit Splitter(Head& head) : head_(head) {
    header_limit(kMaxHeadBytes + 1);
    body_limit(boost::none);
  }

 private:
  using Code = boost::system::error_code;
  using View = boost::beast::string_view;

  void on_request_impl(http::verb, View method, View target, int version, Code& ec) override {
    head_.method = std::string(method);
    head_.target = std::string(target);
    head_.http10 = version == 10;
    ec = {};
  }
  void on_field_impl(http::field, View name, View value, Code& ec) override {
    head_.fields.push_back({lower_case({name.data(), name.size()}), std::string(value)});
    ec = {};
  }
  void on_response_impl(int, View, int, Code& ec) override { ec = {}; }
  void on_header_impl(Code& ec) override { ec = {}; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code& ec) override { ec = {}; }
  std::size_t on_body_impl(View body, Code& ec) override {
    ec = {};
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, Code& ec) override { ec = {}; }
  std::size_t on_chunk_body_impl(std::uint64_t, View body, Code& ec) override {
    ec = {};
    return body.size();
  }
  void on_finish_impl(Code& ec) override { ec = {}; }

  Head& head_;
};

std::size_t count(const Head& head, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count(head.fields, name, &HeadField::name));
}

/// These decide what a call does, so two of them would be two opinions.
constexpr auto kOnce = std::to_array<std::string_view>(
    {"content-length", "host", "idempotency-key", "if-match", "refrain-session", "content-type", "expect"});

std::optional<Error> check_counts(const Head& head) {
  for (auto name : kOnce) {
    if (count(head, name) > 1)
      return bad("The header " + std::string(name) + " stands more than once. Send it once.");
  }
  return std::nullopt;
}

/// A comma may as well, by the book, but two hosts in one header are more likely two opinions.
bool may_stand_in_host(char c) {
  const bool letter_or_digit = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
  return letter_or_digit || std::string_view("-._~!$&'()*+;=").find(c) != std::string_view::npos;
}
bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'f');
}

/// Letters, digits and what else a name in a URL may have, escapes included (RFC 3986, 3.2.2); may be empty.
bool valid_name(std::string_view name) {
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool escape = name[i] == '%' && i + 2 < name.size() && is_hex(name[i + 1]) && is_hex(name[i + 2]);
    if (escape) i += 2;
    if (!escape && !may_stand_in_host(name[i])) return false;
  }
  return true;
}

/// host[:port], the host a name or an address in brackets.
bool valid_host(std::string_view text) {
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos || end == 1) return false;
    const auto address = text.substr(1, end - 1);
    if (!std::ranges::all_of(address, [](char c) { return may_stand_in_host(c) || c == ':'; })) return false;
    port = text.substr(end + 1);
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    if (!valid_name(text.substr(0, colon))) return false;
    port = text.substr(colon);
  }
  if (port.empty()) return true;
  return port[0] == ':' && std::ranges::all_of(port.substr(1), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<Error> check_host(const Head& head) {
  const auto* host = head.field("host");
  if (!host && !head.http10) return bad("HTTP/1.1 asks for a Host header.");
  if (host && !valid_host(*host)) return bad("The Host header is not host[:port].");
  return std::nullopt;
}

std::optional<Error> read_length(Head& head) {
  const auto* text = head.field("content-length");
  if (!text) return std::nullopt;
  const bool digits = !text->empty() && text->size() <= 18 &&
                      std::ranges::all_of(*text, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return bad("Content-Length is not a decimal number of bytes.");
  head.content_length = std::stoull(*text);
  return std::nullopt;
}

std::optional<Error> read_expect(Head& head) {
  const auto* text = head.field("expect");
  if (!text || head.http10) return std::nullopt;
  if (lower_case(*text) != "100-continue") return bad("The only expectation that is known is 100-continue.");
  head.expect_continue = true;
  return std::nullopt;
}

/// Looked for in the raw lines, because Beast stops at some encodings before it hands over the header.
bool has_transfer_encoding(std::string_view raw) {
  constexpr std::string_view name = "\r\ntransfer-encoding:";
  const auto same = [](char a, char b) { return lower(a) == b; };
  return std::search(raw.begin(), raw.end(), name.begin(), name.end(), same) != raw.end();
}

/// Tokens of a comma list, trimmed, lower case.
bool has_token(const Head& head, std::string_view name, std::string_view wanted) {
  for (const auto& field : head.fields) {
    if (field.name != name) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      auto token = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      while (!token.empty() && (token.front() == ' ' || token.front() == '\t')) token.remove_prefix(1);
      while (!token.empty() && (token.back() == ' ' || token.back() == '\t')) token.remove_suffix(1);
      if (lower_case(token) == wanted) return true;
    }
  }
  return false;
}

/// Leaves a target that starts with '/', or '*' for OPTIONS.
std::optional<Error> read_target(Head& head) {
  auto& target = head.target;
  const auto colon = target.starts_with('/') ? std::string::npos : target.find("://");
  const std::string scheme = colon == std::string::npos ? "" : lower_case(target.substr(0, colon));
  if (scheme == "http" || scheme == "https") {
    const auto path = std::min(target.find_first_of("/?#", colon + 3), target.size());
    const auto host = std::string_view(target).substr(colon + 3, path - colon - 3);
    if (host.empty() || host.starts_with(':') || !valid_host(host)) {
      return bad("The request target is a URL whose host is not host[:port].");
    }
    target = path == target.size() ? "/" : target.substr(path);
    if (target.front() != '/') target.insert(0, "/");
  }
  const bool star = target == "*" && head.method == "OPTIONS";
  if (!star && !target.starts_with('/')) return bad("The request target is neither a path nor a URL.");
  if (target.find('#') != std::string::npos) return bad("The request target has a fragment.");
  return std::nullopt;
}

}  // namespace

Result<void> HeadScanner::line_ended(std::size_t position) {
  const bool empty = position - line_start_ == 1;  // only its CR
  line_start_ = position + 1;
  if (!empty) {
    ++lines_;
    if (lines_ > kMaxHeaders + 1) return bad("The request has more than 64 headers.");
  } else if (lines_ > 0) {
    done_ = true;
  } else if (skipped_ == 0) {
    skipped_ = position + 1;
  } else {
    return bad("The request starts with empty lines.");
  }
  return {};
}

Result<std::optional<std::size_t>> HeadScanner::scan(std::string_view buffer) {
  for (; seen_ < buffer.size(); ++seen_) {
    if (seen_ - skipped_ >= kMaxHeadBytes) return bad("The request's head is over 16 KiB.");
    const auto c = static_cast<unsigned char>(buffer[seen_]);
    if (after_cr_) {
      if (c != '\n') return bad("A CR stands without its LF.");
      after_cr_ = false;
      if (auto ended = line_ended(seen_); !ended) return ended.error();
      if (done_) return std::optional(seen_ + 1);
      continue;
    }
    if (c == '\r') {
      after_cr_ = true;
      continue;
    }
    const bool first_of_line = seen_ == line_start_;
    if (first_of_line && (c == ' ' || c == '\t')) {
      return bad(lines_ == 0 ? "The request line starts with a space." : "Folded headers are not accepted.");
    }
    if (!(lines_ == 0 ? may_stand_in_request_line(c) : may_stand_in_header(c))) {
      return bad(c == '\n' ? "A line ends without a CR."
                           : "A control character stands in the request's head.");
    }
  }
  return std::optional<std::size_t>();
}

const std::string* Head::field(std::string_view lower_case_name) const {
  const auto found = std::ranges::find(fields, lower_case_name, &HeadField::name);
  return found == fields.end() ? nullptr : &found->value;
}

ParsedHead parse_head(std::string_view raw) {
  ParsedHead parsed;
  Head& head = parsed.head;
  head.fields.reserve(12);
  Splitter splitter(head);
  boost::system::error_code ec;
  splitter.put(boost::asio::buffer(raw.data(), raw.size()), ec);
  if (has_transfer_encoding(raw) && !head.method.empty()) {
    parsed.error =
        invalid("length_required", "Transfer-Encoding is not accepted. Send the body with a Content-Length.");
    return parsed;
  }
  // Beast objects to some lengths itself; those are answered below, in our words.
  if (head.method.empty() || (ec && !head.field("content-length"))) {
    parsed.error = bad("The request line or a header is malformed: " + ec.message() + ".");
    return parsed;
  }
  parsed.error = check_counts(head);
  if (!parsed.error) parsed.error = check_host(head);
  if (!parsed.error) parsed.error = read_length(head);
  if (!parsed.error && ec) parsed.error = bad("A header is malformed: " + ec.message() + ".");
  if (!parsed.error) parsed.error = read_expect(head);
  if (!parsed.error) parsed.error = read_target(head);
  const bool close = has_token(head, "connection", "close");
  head.keep_alive = !close && (!head.http10 || has_token(head, "connection", "keep-alive"));
  return parsed;
}

}  // namespace refrain::server
