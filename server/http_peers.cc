// SPDX-License-Identifier: Apache-2.0
#include "server/http_peers.h"

#include <algorithm>
#include <boost/json/parse.hpp>

#include "base/text.h"
#include "server/transfers.h"

namespace refrain::server {
namespace {

namespace json = boost::json;

constexpr Milliseconds kMembersLimit{5'000};
constexpr std::size_t kMembersBytes = 16 * 1024 * 1024;
constexpr std::size_t kSnapshotBytes = 4 * 1024 * 1024;

std::string url_of(const std::string& address, std::string_view path) {
  std::string url = address.find("://") == std::string::npos ? "http://" + address : address;
  while (url.ends_with('/')) url.pop_back();
  return url + std::string(path);
}

/// Marks the transfer as nobody's when whoever asked lets go of it.
class Held {
 public:
  Held(std::shared_ptr<Transfers> transfers, std::string url, Milliseconds limit, std::size_t most_bytes)
      : transfers_(std::move(transfers)), transfer_(std::make_shared<Transfer>()) {
    transfer_->url = std::move(url);
    transfer_->limit = limit;
    transfer_->most_bytes = most_bytes;
    transfers_->start(transfer_);
  }
  ~Held() {
    transfer_->abandoned = true;
    transfers_->wake();
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  Transfer& operator*() const { return *transfer_; }
  void wake() const { transfers_->wake(); }

 private:
  std::shared_ptr<Transfers> transfers_;
  std::shared_ptr<Transfer> transfer_;
};

class PendingMembers final : public replication::Pending<replication::PeerMembers> {
 public:
  PendingMembers(std::shared_ptr<Transfers> transfers, const std::string& address)
      : held_(std::move(transfers), url_of(address, "/v1/members"), kMembersLimit, kMembersBytes) {}
  std::optional<Result<replication::PeerMembers>> take() override {
    std::lock_guard lock((*held_).mutex);
    if (!(*held_).ended || given_) return std::nullopt;
    given_ = true;
    if ((*held_).error) return Result<replication::PeerMembers>(*(*held_).error);
    return parse_members((*held_).bytes);
  }

 private:
  Held held_;
  bool given_ = false;
};

class HttpSnapshot final : public replication::SnapshotStream {
 public:
  HttpSnapshot(std::shared_ptr<Transfers> transfers, const std::string& address)
      : held_(std::move(transfers), url_of(address, "/v1/snapshot"), Milliseconds{0}, kSnapshotBytes) {}
  Result<State> poll(std::string& block) override {
    bool was_paused = false;
    {
      std::lock_guard lock((*held_).mutex);
      if ((*held_).error)
        return *(*held_).error;  // what came before it is of no use: the stream must be whole
      block.clear();
      block.swap((*held_).bytes);
      was_paused = (*held_).paused;
      if (block.empty()) return (*held_).ended ? State::kEnd : State::kWait;
    }
    if (was_paused) held_.wake();
    return State::kBlock;
  }
  std::uint64_t expected_rows() const override {
    std::lock_guard lock((*held_).mutex);
    return (*held_).rows;
  }

 private:
  Held held_;
};

std::optional<Sha256> parse_hash(const json::value& value) {
  const auto* text = value.if_string();
  const auto bytes = text ? hex_decode(std::string_view(text->data(), text->size())) : std::nullopt;
  if (!bytes || bytes->size() != sizeof(Sha256)) return std::nullopt;
  Sha256 hash;
  std::ranges::copy(*bytes, hash.begin());
  return hash;
}

const json::value* member(const json::object& object, const char* name) {
  const auto* found = object.if_contains(name);
  return found && !found->is_null() ? found : nullptr;
}

std::string_view text_of(const json::object& object, const char* name) {
  const auto* found = member(object, name);
  const auto* text = found ? found->if_string() : nullptr;
  return text ? std::string_view(text->data(), text->size()) : std::string_view();
}

bool flag_of(const json::object& object, const char* name) {
  const auto* found = member(object, name);
  return found && found->is_bool() && found->as_bool();
}

Error no_node() {
  return unavailable("peer_unavailable", "The answer to GET /v1/members is not what a node says.");
}

Result<std::vector<Sha256>> parse_log(const json::object& object) {
  std::vector<Sha256> hashes;
  const auto* log = member(object, "log");
  if (!log || !log->is_array()) return no_node();
  for (const auto& entry : log->as_array()) {
    const auto* fields = entry.if_object();
    const auto* n = fields ? member(*fields, "n") : nullptr;
    const auto* hash = fields ? member(*fields, "hash") : nullptr;
    const auto parsed = hash ? parse_hash(*hash) : std::nullopt;
    json::error_code ec;
    if (!n || !parsed || n->to_number<std::uint64_t>(ec) != hashes.size() + 1 || ec) return no_node();
    hashes.push_back(*parsed);
  }
  return hashes;
}

/// nullopt when the node is of a version that does not say.
std::optional<std::map<Incarnation, Milliseconds>> parse_silences(const json::object& object) {
  std::map<Incarnation, Milliseconds> silent;
  const auto* members = member(object, "members");
  if (!members || !members->is_array()) return std::nullopt;
  for (const auto& entry : members->as_array()) {
    const auto* fields = entry.if_object();
    const auto* ms = fields ? member(*fields, "silent_ms") : nullptr;
    const auto incarnation = fields ? parse_hex64(text_of(*fields, "incarnation")) : std::nullopt;
    json::error_code ec;
    if (!ms || !incarnation) return std::nullopt;
    const auto count = ms->to_number<std::int64_t>(ec);
    if (ec || count < 0) return std::nullopt;
    silent[{*incarnation}] = Milliseconds{count};
  }
  return silent;
}

}  // namespace

Result<replication::PeerMembers> parse_members(std::string_view text) {
  json::error_code ec;
  const auto parsed = json::parse(json::string_view(text.data(), text.size()), ec);
  const auto* object = ec ? nullptr : parsed.if_object();
  if (!object) return no_node();
  replication::PeerMembers members;
  members.node = text_of(*object, "node");
  const auto incarnation = parse_hex64(text_of(*object, "incarnation"));
  if (!valid_node_name(members.node) || !incarnation) return no_node();
  members.incarnation = {*incarnation};
  if (const auto id = text_of(*object, "cluster_id"); !id.empty()) {
    const auto parsed_id = parse_hex64("00000000" + std::string(id));
    if (!parsed_id) return no_node();
    members.cluster = {static_cast<std::uint32_t>(*parsed_id)};
  }
  members.active = flag_of(*object, "active");
  members.waits_for_agreement = flag_of(*object, "waits_for_agreement");
  if (const auto* waits = member(*object, "waits_for"); waits && waits->is_array()) {
    for (const auto& one : waits->as_array()) {
      const auto* hex = one.if_string();
      const auto other = hex ? parse_hex64({hex->data(), hex->size()}) : std::nullopt;
      if (!other) return no_node();
      members.waits_for.push_back({*other});
    }
  }
  if (auto silent = parse_silences(*object)) members.silent = std::move(*silent);
  auto hashes = parse_log(*object);
  if (!hashes) return hashes.error();
  members.hashes = std::move(*hashes);
  return members;
}

HttpPeers::HttpPeers(const NodeName& self) : transfers_(std::make_shared<Transfers>("refrain/" + self)) {}
HttpPeers::~HttpPeers() = default;

std::unique_ptr<replication::Pending<replication::PeerMembers>> HttpPeers::members(
    const std::string& address) {
  return std::make_unique<PendingMembers>(transfers_, address);
}

std::unique_ptr<replication::SnapshotStream> HttpPeers::snapshot(const std::string& address) {
  return std::make_unique<HttpSnapshot>(transfers_, address);
}

}  // namespace refrain::server
