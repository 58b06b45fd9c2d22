// SPDX-License-Identifier: Apache-2.0
#include "cli/verify_repair.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/text.h"
#include "cli/json_access.h"

namespace refrain::cli {
namespace {

constexpr std::string_view kWaiting = "ack=all&timeout=10s";

/// Index of the member whose row is to be written again; none when two are as good and not the same.
std::optional<std::size_t> winner_of(const std::vector<ComparedMember*>& members, const ComparedKey& key) {
  bool any_fits = std::ranges::any_of(members, [&](auto* m) { return m->fits(key.ns, key.key); });
  std::optional<std::size_t> winner;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (any_fits && !members[i]->fits(key.ns, key.key)) continue;
    if (!winner) {
      winner = i;
      continue;
    }
    const auto& best = key.said[*winner].row;
    const auto& row = key.said[i].row;
    if (row && best && row->version == best->version && *row != *best) return std::nullopt;
    if (row && (!best || best->version < row->version)) winner = i;
  }
  return winner;
}

/// Of a time as nodes give it: "2026-11-25T16:07:09.123Z".
std::int64_t milliseconds_of(const std::string& time) {
  std::tm parts{};
  int milliseconds = 0;
  int read = std::sscanf(time.c_str(), "%d-%d-%dT%d:%d:%d.%dZ", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                         &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &milliseconds);
  if (read != 7) return 0;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return std::int64_t{timegm(&parts)} * 1000 + milliseconds;
}

std::string detail_of(const tl::expected<Answer, NoAnswer>& answer) {
  if (!answer) return answer.error().why;
  boost::system::error_code error;
  json::value body = json::parse(answer->body, error);
  return error ? fmt::format("it answered {}", answer->status) : text(body, "detail");
}

Repaired written(Repaired repaired, const tl::expected<Answer, NoAnswer>& answer) {
  if (!answer || (answer->status != 200 && answer->status != 202)) {
    repaired.note = detail_of(answer);
    return repaired;
  }
  boost::system::error_code error;
  json::value body = json::parse(answer->body, error);
  if (!error) repaired.version = text(body, "version");
  if (answer->status == 202) repaired.note = fmt::format("waits for {}", joined(body, "waiting_for"));
  return repaired;
}

}  // namespace

Repaired repair(std::vector<ComparedMember*> compared, const ComparedKey& key) {
  auto winner = winner_of(compared, key);
  if (!winner)
    return {"", "", "one version, two values, and no digest tells which is right: write it yourself"};
  Transport& node = *compared[*winner]->transport;
  Repaired repaired{compared[*winner]->name, "", ""};
  const std::string path = fmt::format("/v1/kv/{}/{}", percent_encoded(key.ns), percent_encoded_key(key.key));
  const Said& said = key.said[*winner];
  Call write;
  write.target = fmt::format("{}?{}", path, kWaiting);
  write.wait = Milliseconds{10'000};
  if (!said.row || !said.row->visible(said.now)) {
    write.method = "DELETE";
    write.headers.emplace_back("If-None-Match: *");
    return written(std::move(repaired), node.call(write));
  }
  Call read;
  read.target = path;
  auto value = node.call(read);
  const std::string version = format_version(said.row->version);
  if (!value || value->status != 200 || value->header("etag") != fmt::format("\"{}\"", version)) {
    repaired.note =
        value && value->status == 200 ? "it was written meanwhile: verify again" : detail_of(value);
    return repaired;
  }
  write.method = "PUT";
  write.body = value->body;
  write.content_type = "application/octet-stream";
  write.headers.push_back(fmt::format("If-Match: \"{}\"", version));
  if (said.row->expires_at) {
    auto left = milliseconds_of(*said.row->expires_at) - milliseconds_of(said.now);
    write.target += fmt::format("&ttl={}ms", std::max<std::int64_t>(left, 1));
  }
  return written(std::move(repaired), node.call(write));
}

}  // namespace refrain::cli
