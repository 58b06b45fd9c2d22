// SPDX-License-Identifier: Apache-2.0
// One node's requests over a simulated engine: decides, commits, applies, and hears of others when told to.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "idempotency/apply.h"
#include "idempotency/report.h"
#include "idempotency/requests.h"
#include "idempotency/row.h"
#include "idempotency/token.h"
#include "store/sim_engine.h"

namespace refrain::idempotency {

inline constexpr std::int64_t kStart = 1'780'000'000'000;
inline constexpr Milliseconds kMinute{60'000};
inline constexpr Milliseconds kDay{86'400'000};

inline Sha256 payload(const std::string& text) {
  return sha256(text);
}

inline Completion responding(const std::string& body) {
  Completion completion;
  completion.response = Response{200, "text/plain", body};
  return completion;
}
inline Completion with_effect(const std::string& body, const std::string& key = "balance") {
  Completion completion = responding(body);
  completion.effects.push_back({"kv", key, body, std::nullopt, std::nullopt, false});
  return completion;
}

/// Error slug, or "ok".
template <class T>
std::string slug(const Result<T>& result) {
  return result ? "ok" : result.error().slug;
}

class Site {
  template <class Decide>
  auto commit(Decide decide, const std::vector<Effect>& effects = {})
      -> decltype(decide(std::declval<const Here&>()).answer) {
    auto decision = decide(here());
    std::vector<store::Operation> operations = std::move(decision.operations);
    std::erase_if(operations, [&](const store::Operation& op) {
      const auto* duplicate = std::get_if<store::DuplicateOp>(&op);
      return duplicate && *is_known(store::Draft(*engine_), duplicate->duplicate);
    });
    if (decision.answer && !operations.empty()) {
      for (const Effect& effect : effects) {
        operations.push_back(store::Put{effect.ns, effect.key, effect.value.value_or(""), {}, {}});
      }
    }
    if (!operations.empty()) append(std::move(operations));
    return std::move(decision.answer);
  }

 public:
  struct Options {
    std::string ns = "orders";
    std::string payload = "payload";
    std::optional<Milliseconds> lease = std::nullopt;
    std::optional<OnExpiry> on_expiry = std::nullopt;
    std::optional<Milliseconds> seen_ttl = std::nullopt;
    std::optional<Milliseconds> max_lag = std::nullopt;
  };

  Site(NodeName name, const WallMs& clock) : name_(std::move(name)), clock_(clock) {
    incarnation_ = {std::hash<std::string>{}(name_)};
    engine_ = std::move(*store::SimEngine::open(disk_));
  }

  // ---- calls

  Result<std::variant<Go, Replay>> begin(const std::string& id) { return begin(id, Options()); }
  Result<std::variant<Go, Replay>> begin(const std::string& id, const Options& options) {
    return commit([&](const Here& here) {
      BeginCall call{options.ns,
                     id,
                     payload(options.payload),
                     options.lease,
                     options.on_expiry,
                     options.seen_ttl,
                     options.max_lag,
                     ++bits_};
      return idempotency::begin(row(id, options.ns), call, terms, freshness, here);
    });
  }
  static Sha256 payload(const std::string& text) { return sha256(text); }

  /// A begin that must be told to go.
  Go go(const std::string& id) { return go(id, Options()); }
  Go go(const std::string& id, const Options& options) {
    auto answer = begin(id, options);
    REFRAIN_ASSERT(answer && std::holds_alternative<Go>(*answer),
                   answer ? "replay" : answer.error().slug.c_str());
    return std::get<Go>(*answer);
  }
  /// "go", "replay" or the slug.
  std::string word(const std::string& id) { return word(id, Options()); }
  std::string word(const std::string& id, const Options& options) {
    auto answer = begin(id, options);
    if (!answer) return answer.error().slug;
    return std::holds_alternative<Go>(*answer) ? "go" : "replay";
  }
  /// The bytes that a replay gives now.
  std::string replayed(const std::string& id) {
    auto answer = begin(id);
    if (!answer || !std::holds_alternative<Replay>(*answer)) return "(" + slug(answer) + ")";
    auto response = read(id, std::get<Replay>(*answer).version);
    return response ? response->body : "(" + response.error().slug + ")";
  }
  Result<store::ResponseRow> read(const std::string& id, const Version& version) {
    return read_response(store::Draft(*engine_), "orders", id, version);
  }

  Result<CompleteAnswer> complete(const std::string& id, const std::string& token,
                                  const Completion& completion) {
    return commit(
        [&](const Here& here) {
          return idempotency::complete(row(id), {"orders", id, token, completion}, terms, here);
        },
        completion.effects);
  }
  Result<std::variant<Ran, Replay>> execute(const std::string& id, const Completion& completion,
                                            const std::string& sent = "payload") {
    return commit(
        [&](const Here& here) {
          return idempotency::execute(row(id), {"orders", id, payload(sent), completion}, terms, freshness,
                                      here);
        },
        completion.effects);
  }
  Result<RenewAnswer> renew(const std::string& id, const std::string& token,
                            std::optional<Milliseconds> lease = std::nullopt) {
    return commit([&](const Here& here) {
      return idempotency::renew(row(id), {"orders", id, token, lease}, terms, here);
    });
  }
  Result<ReleaseAnswer> release(const std::string& id, const std::string& token) {
    return commit([&](const Here& here) {
      return idempotency::release(row(id), {"orders", id, token}, here);
    });
  }
  Result<ResolveAnswer> resolve_complete(const std::string& id, const Completion& completion) {
    return commit([&](const Here& here) {
      return idempotency::resolve(row(id), {"orders", id, completion}, terms, here);
    });
  }
  Result<ResolveAnswer> resolve_release(const std::string& id) {
    return commit([&](const Here& here) {
      return idempotency::resolve(row(id), {"orders", id, std::nullopt}, terms, here);
    });
  }
  std::optional<Report> get(const std::string& id, std::optional<std::string> sent = std::nullopt) {
    std::optional<Sha256> fingerprint;
    if (sent) fingerprint = payload(*sent);
    return report(row(id), terms.rules, fingerprint, here());
  }
  std::string state(const std::string& id) {
    auto report = get(id);
    return std::string(state_name(report ? report->state : State::kAbsent));
  }

  // ---- what others know of us, and we of them

  void tick() { append({}); }
  /// Everything that `other` has journalled and we have not applied, at most `most` commits.
  void hear(Site& other, std::size_t most = SIZE_MAX) {
    std::size_t& next = heard_[other.name_];
    for (; next < other.journal_.size() && most > 0; ++next, --most) apply_commit(other.journal_[next]);
    peers[other.name_].address = "http://" + other.name_;
  }
  std::size_t heard(const NodeName& other) const {
    auto found = heard_.find(other);
    return found == heard_.end() ? 0 : found->second;
  }
  std::size_t behind(const Site& other) { return other.journal_.size() - heard_[other.name_]; }

  // ---- what is stored

  Row row(const std::string& id, const std::string& ns = "orders") const {
    auto found = store::get_request(static_cast<const store::View&>(*engine_), ns, id);
    REFRAIN_ASSERT(found.has_value(), "reads work");
    return *found;
  }
  std::vector<store::Duplicate> duplicates(bool possible = false) const {
    std::vector<store::Duplicate> out;
    auto page = store::list_duplicates(*engine_, "", "", true, 10'000);
    REFRAIN_ASSERT(page.has_value(), "reads work");
    for (auto& item : page->items) {
      if (item.duplicate.possible == possible) out.push_back(item.duplicate);
    }
    return out;
  }
  bool marked_open(const std::string& id) const {
    return (*engine_->get(store::Family::kOpen, store::request_key("orders", id))).has_value();
  }
  std::string value(const std::string& key) const {
    auto found = kv_.find(key);
    return found == kv_.end() ? "" : found->second.second;
  }
  void compact() { disk_.compact(now()); }
  std::uint64_t rows_hash(store::Family family) const { return disk_.rows_hash(family); }

  WallMs now() const { return std::max(WallMs{clock_.value + skew.count()}, last_.wall()); }
  Here here() {
    Hlc minted = Hlc::of(now());
    return {name_, incarnation_, std::max(minted, Hlc{last_.value + 1}), peers, Milliseconds{500}};
  }
  const NodeName& name() const { return name_; }
  const std::vector<store::Commit>& journal() const { return journal_; }
  store::SimEngine& engine() { return *engine_; }
  Incarnation incarnation() const { return incarnation_; }
  void reborn() { incarnation_ = {incarnation_.value + 1}; }

  Terms terms;
  Freshness freshness;
  Peers peers;
  Milliseconds skew{0};

 private:
  void append(std::vector<store::Operation> operations) {
    store::Commit commit;
    commit.node = name_;
    commit.incarnation = incarnation_;
    commit.seq = {journal_.size() + 1};
    commit.hlc = here().at;
    commit.operations = std::move(operations);
    journal_.push_back(commit);
    apply_commit(commit);
  }
  void apply_commit(const store::Commit& commit) {
    last_ = std::max(last_, commit.hlc);
    store::Draft draft(*engine_);
    for (const store::Operation& op : commit.operations)
      std::visit([&](const auto& o) { one(draft, o, commit); }, op);
    REFRAIN_ASSERT(engine_->write(draft.take(), store::Durability::kSynced).has_value(), "writes work");
    if (commit.node != name_) peers[commit.node].applied = commit.hlc;
  }
  template <class Op>
  void one(store::Draft& draft, const Op& op, const store::Commit& commit) {
    if constexpr (std::is_same_v<Op, store::Put>) {
      auto& kept = kv_[op.key];
      if (kept.first < commit.version()) kept = {commit.version(), op.value};
    } else if constexpr (requires { idempotency::apply(draft, op, commit); }) {
      REFRAIN_ASSERT(idempotency::apply(draft, op, commit).has_value(), "applying works");
    }
  }

  NodeName name_;
  const WallMs& clock_;
  Incarnation incarnation_;
  store::SimDisk disk_;
  std::unique_ptr<store::SimEngine> engine_;
  Hlc last_;
  std::uint64_t bits_ = 7;
  std::vector<store::Commit> journal_;
  std::map<NodeName, std::size_t> heard_;
  std::map<std::string, std::pair<Version, std::string>> kv_;
};

}  // namespace refrain::idempotency
