// SPDX-License-Identifier: Apache-2.0
#include "cli/void_commands.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "base/text.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"

namespace refrain::cli {
namespace {

std::optional<WallMs> parse_time(const std::string& text) {
  tm parts{};
  int ms = 0, end = 0;
  int read = std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &parts.tm_year, &parts.tm_mon,
                         &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &ms, &end);
  if (read != 7 || end == 0 || static_cast<std::size_t>(end) != text.size()) return std::nullopt;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return WallMs{static_cast<std::int64_t>(timegm(&parts)) * 1000 + ms};
}

WallMs wall_now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return {static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000};
}

/// One line of an export, understood: what to write, and what of it nobody can write again.
struct VoidLine {
  std::string commit;
  json::array operations;            // as POST /v1/commit takes them
  std::vector<std::string> left;     // "outcome payments/order-4"
  bool completes_a_request = false;  // its effects belong to an outcome
};

struct BadLine {
  std::string why;
};

using Key = std::pair<std::string, std::string>;

/// Whatever this import has written of a key, the next commit of the same writer had seen.
using Written = std::map<Key, Version>;

json::object seen_of(const json::value& operation, const Written& written, const Key& key) {
  json::object seen;
  if (const json::value* given = member(operation, "seen"); given && given->is_object())
    seen = given->get_object();
  if (auto own = written.find(key); own != written.end()) {
    std::string hlc = format_hex64(own->second.hlc.value);
    json::value& entry = seen[own->second.node];
    if (!entry.is_string() || std::string_view(entry.get_string()) < hlc) entry = hlc;
  }
  return seen;
}

tl::expected<json::object, BadLine> write_of(const json::value& operation, const Written& written,
                                             bool overwrite) {
  std::string kind = text(operation, "kind");
  Key key{text(operation, "ns"), bytes(operation, "key")};
  if (key.first.empty() || key.second.empty()) return tl::unexpected(BadLine{"a key is missing"});
  json::object inner{{"ns", key.first}, {"key", key.second}};
  if (!overwrite) inner["if_seen"] = seen_of(operation, written, key);
  if (kind == "put") {
    const json::value* value = member(operation, "value");
    const json::value* base64 = member(operation, "value_base64");
    if (!value == !base64) return tl::unexpected(BadLine{"a put has no value, or two"});
    bool ended = false;
    if (member(operation, "expires_at")) {
      auto until = parse_time(text(operation, "expires_at"));
      if (!until) return tl::unexpected(BadLine{"expires_at is no time"});
      Milliseconds left = *until - wall_now();
      ended = left.count() <= 0;
      if (!ended) inner["ttl"] = std::to_string(left.count()) + "ms";
    }
    if (!ended) {
      inner[value ? "value" : "value_base64"] = value ? *value : *base64;
      return json::object{{"put", std::move(inner)}};
    }
  }
  return json::object{{"delete", std::move(inner)}};  // or a value whose time is over: nothing to be seen
}

tl::expected<VoidLine, BadLine> understand(const std::string& line, const Written& written, bool overwrite) {
  boost::system::error_code error;
  json::value parsed = json::parse(line, error);
  if (error) return tl::unexpected(BadLine{"it is no JSON"});
  VoidLine out;
  out.commit = text(parsed, "commit");
  auto id = parse_commit_id(out.commit);
  if (!id || id->incarnation.value == 0 || !member(parsed, "operations") ||
      !member(parsed, "operations")->is_array())
    return tl::unexpected(BadLine{"it is no commit as `refrain events export` prints it"});
  for (const json::value& operation : list(parsed, "operations")) {
    std::string kind = text(operation, "kind");
    if (kind == "put" || kind == "delete") {
      auto write = write_of(operation, written, overwrite);
      if (!write) return tl::unexpected(write.error());
      out.operations.push_back(std::move(*write));
    } else if (kind == "claim" || kind == "outcome" || kind == "duplicate" || kind == "void") {
      bool of_http = text(operation, "ns").starts_with("_http-");  // only its Idempotency-Key
      out.completes_a_request |= kind == "outcome" && !of_http;
      if (!of_http)
        out.left.push_back(fmt::format("{} {}/{}", kind, text(operation, "ns"), bytes(operation, "key")));
    } else {
      return tl::unexpected(BadLine{fmt::format("'{}' is no kind of operation", kind)});
    }
  }
  return out;
}

class Import {
 public:
  Import(Context& context, bool overwrite, bool effects, std::string file)
      : context_(context), overwrite_(overwrite), effects_(effects), file_(std::move(file)) {}

  /// False: going on makes no sense.
  bool take(std::size_t number, const std::string& line) {
    auto understood = understand(line, written_, overwrite_);
    if (!understood) return bad(number, understood.error().why);
    std::string left;
    for (const std::string& one : understood->left) left += (left.empty() ? "" : ", ") + one;
    if (understood->operations.empty())
      return skip(understood->commit, left.empty() ? "nothing is in it" : "not importable: " + left);
    if (understood->completes_a_request && !effects_)
      return skip(understood->commit, "it holds the effects of " + left +
                                          ", which is not importable: run that request again, or --effects");
    return send(number, *understood, left);
  }

  int finish() {
    context_.screen.table(table_);
    context_.screen.message(fmt::format("{} imported, {} imported before, {} skipped, {} bad lines",
                                        imported_, before_, skipped_, bad_));
    if (stopped_) return *stopped_;
    return bad_ > 0 ? kFailed : skipped_ > 0 ? kRefused : kOk;
  }

 private:
  bool bad(std::size_t number, const std::string& why) {
    context_.screen.message(fmt::format("{}:{}: {}; nothing of this line was written", file_, number, why));
    ++bad_;
    return true;
  }
  bool skip(const std::string& commit, const std::string& why) {
    table_.rows.push_back({commit, Cell("skipped", Tone::kBad), "", why});
    ++skipped_;
    return true;
  }

  bool send(std::size_t number, const VoidLine& line, const std::string& left) {
    Call call{.method = "POST",
              .target = "/v1/commit",
              .headers = {"Idempotency-Key: void:" + line.commit},
              .body = json::serialize(json::object{{"operations", line.operations}}),
              .content_type = "application/json"};
    auto answer = context_.transport().call(call);
    if (!answer) {
      context_.screen.message(answer.error().why);
      stopped_ = kNoAnswer;
      return false;
    }
    boost::system::error_code error;
    json::value body = json::parse(answer->body, error);
    if (error) body = json::object{};
    if (answer->status == 412) return skip(line.commit, text(body, "detail"));
    if (text(body, "code") == "fingerprint_mismatch") {  // with other conditions
      table_.rows.push_back({line.commit, "imported before", "", ""});
      ++before_;
      return true;
    }
    if (answer->status == 400 || answer->status == 413) return bad(number, text(body, "detail"));
    if (answer->status != 200 && answer->status != 202) {
      stopped_ = report_failure(context_, *answer);
      return false;
    }
    note_written(line, text(body, "version"));
    bool replayed = answer->header("idempotent-replayed") == "true";
    std::string note = left.empty() ? "" : "not imported: " + left;
    table_.rows.push_back({line.commit, Cell(replayed ? "imported before" : "imported", Tone::kGood),
                           text(body, "commit"), note});
    ++(replayed ? before_ : imported_);
    return true;
  }

  void note_written(const VoidLine& line, const std::string& version) {
    auto parsed = parse_version(version);
    if (!parsed) return;
    for (const json::value& operation : line.operations) {
      const json::value& inner = operation.as_object().begin()->value();
      written_[{text(inner, "ns"), text(inner, "key")}] = *parsed;
    }
  }

  Context& context_;
  bool overwrite_;
  bool effects_;
  std::string file_;
  Written written_;
  Table table_{{"VOID COMMIT", "RESULT", "NEW COMMIT", "NOTE"}, {}};
  std::size_t imported_ = 0, before_ = 0, skipped_ = 0, bad_ = 0;
  std::optional<int> stopped_;
};

}  // namespace

int export_void(Context& context, const Arguments&) {
  std::string after;
  do {
    Target target("/v1/events/export");
    if (!after.empty()) target.with("after", after);
    Call call;
    call.target = target.text();
    auto answer = ask(context, call);
    if (!answer) return answer.error();
    auto body = parse_json(context, answer->body);
    if (!body) return kFailed;
    for (const json::value& item : list(*body, "items")) context.screen.bytes(json::serialize(item) + "\n");
    after = text(*body, "after");
  } while (!after.empty());
  return kOk;
}

int import_void(Context& context, const Arguments& arguments) {
  std::string file = arguments.text("FILE");
  auto bytes = read_input(context, file);
  if (!bytes) return kFailed;
  Import import(context, arguments.has("--overwrite"), arguments.has("--effects"), file);
  std::istringstream lines(*bytes);
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (!import.take(number, line)) break;
  }
  return import.finish();
}

}  // namespace refrain::cli
