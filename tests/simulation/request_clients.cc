// SPDX-License-Identifier: Apache-2.0
#include "request_clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"
#include "world.h"

namespace refrain::simulation {
namespace {

constexpr std::size_t kTokensKept = 24;

std::string row_of(const std::string& ns, const std::string& id) {
  return ns + '\0' + id;
}

void join(Vector& into, const Vector& from) {
  for (const auto& [node, hlc] : from) into[node] = std::max(into[node], hlc);
}

Sha256 payload_of(const std::string& id, bool right) {
  return sha256(right ? id : id + " otherwise");
}

}  // namespace

void configure_requests(node::Config& config) {
  node::RequestRules& rules = config.requests.defaults;
  rules.lease = Milliseconds{1'000};
  auto& namespaces = config.requests.namespaces;
  namespaces["held"] = rules;
  namespaces["held"].on_expiry = node::OnExpiry::kHold;
  namespaces["home"] = rules;
  namespaces["home"].scope = {node::Scope::Kind::kHome, "eu"};
  namespaces["brief"] = rules;
  namespaces["brief"].lease = Milliseconds{300};
  namespaces["brief"].response_ttl = Milliseconds{1'000};
  namespaces["brief"].seen_ttl = Milliseconds{3'000};
}

RequestClients::RequestClients(World& world)
    : world_(world), answers_(world), dice_(world.stream("request habits")), habits_(draw_habits()) {}

/// Few things at once, and other ones in each world.
RequestClients::Habits RequestClients::draw_habits() {
  Habits habits;
  for (const char* ns : {"payments", "held", "home", "brief"}) {
    if (dice_.chance(0.5)) habits.namespaces.push_back(ns);
  }
  if (habits.namespaces.empty()) habits.namespaces.push_back("payments");
  habits.ids = 1 + dice_.below(3);
  habits.window_ms = dice_.between(400, 5'000);
  habits.calls = dice_.chance(0.4) ? 1 + dice_.below(4) : 1;
  habits.wrong_payload = dice_.chance(0.5) ? 0.15 : 0;
  habits.waits = dice_.chance(0.7) ? 0.4 : 0;
  habits.long_work = dice_.chance(0.6) ? 0.3 : 0.05;
  return habits;
}

RequestClients::Client& RequestClients::client_of(std::size_t number, Vector& session) {
  auto found = clients_.find(number);
  if (found == clients_.end()) {
    Client client{number, world_.stream(fmt::format("requests of client {}", number)), &session, 0};
    found = clients_.emplace(number, client).first;
  }
  return found->second;
}

std::string RequestClients::unique(Client& client) {
  return fmt::format("q{}.{}", client.number, ++client.calls);
}

Machine* RequestClients::other_machine(Client& client, const Machine& than) {
  std::vector<Machine*> up;
  for (std::size_t i = 0; i < world_.machines(); ++i) {
    if (i != than.index() && world_.machine(i).up()) up.push_back(&world_.machine(i));
  }
  return up.empty() ? nullptr : up[client.dice.below(up.size())];
}

/// A few ids at a time, which move on: so that several clients meet at one.
std::pair<std::string, std::string> RequestClients::pick(Client& client) {
  const std::string& ns = habits_.namespaces[client.dice.below(habits_.namespaces.size())];
  auto window = world_.now().value / 1'000'000 / habits_.window_ms;
  return {ns, fmt::format("r{}", static_cast<std::uint64_t>(window) + client.dice.below(habits_.ids))};
}

void RequestClients::call(std::size_t number, Vector& session, Machine& machine) {
  Client& client = client_of(number, session);
  for (std::uint64_t i = 0; i < habits_.calls; ++i) {
    std::uint64_t what = client.dice.below(100);
    if (what < 60) {
      begin(client, machine);
    } else if (what < 70) {
      execute(client, machine);
    } else if (what < 85) {
      misuse(client, machine);
    } else if (what < 93) {
      resolve(client, machine);
    } else {
      look(client, machine);
    }
  }
}

/// Who waits hangs up: nothing is decided any more once all is mended.
void RequestClients::stop() {
  stopped_ = true;
  for (const auto& gone : waiting_) *gone = true;
}

// ---- begin

void RequestClients::begin(Client& client, Machine& machine) {
  Dice& dice = client.dice;
  node::BeginCall call;
  std::tie(call.ns, call.id) = pick(client);
  call.fingerprint = payload_of(call.id, !dice.chance(habits_.wrong_payload));
  if (dice.chance(0.7)) call.session = *client.session;
  if (dice.chance(habits_.waits)) call.wait = Milliseconds{dice.between(10, 2'500)};
  if (dice.chance(0.2)) call.lease = Milliseconds{dice.between(50, 3'000)};
  if (dice.chance(0.1)) call.on_expiry = dice.chance(0.5) ? node::OnExpiry::kHold : node::OnExpiry::kRetry;
  if (call.ns == "brief" && dice.chance(0.5)) call.seen_ttl = Milliseconds{dice.between(300, 3'000)};
  if (dice.chance(0.1)) call.max_lag = Milliseconds{dice.between(1, 3'000)};
  world_.history().requests.emplace(row_of(call.ns, call.id), payload_of(call.id, true));
  send(client, machine, call, dice.chance(0.3) ? 2 : 0);
}

/// Who gets no answer in time asks another node about the same id.
void RequestClients::send(Client& client, Machine& machine, node::BeginCall call, int more_tries) {
  if (call.wait.count() > 0) {
    call.gone = std::make_shared<std::atomic<bool>>(false);
    waiting_.push_back(call.gone);
    if (client.dice.chance(0.2))
      world_.after(Milliseconds{client.dice.between(1, call.wait.count())},
                   [gone = call.gone] { *gone = true; });
  }
  auto answered = std::make_shared<bool>(false);
  SentBegin sent{row_of(call.ns, call.id), call};
  machine.node().begin(
      call, world_.answer<node::BeginAnswer>(
                machine, [this, &client, &machine, sent, answered](const Result<node::BeginAnswer>& answer) {
                  *answered = true;
                  answers_.began(machine, sent, answer);
                  if (!answer) return;
                  join(*client.session, answer->session);
                  if (answer->go) run(client, machine, sent.call, answer->go->token, answer->go->fencing);
                }));
  if (more_tries == 0) return;
  world_.after(Milliseconds{client.dice.between(20, 1'500)},
               [this, &client, &machine, call, more_tries, answered] {
                 if (*answered || stopped_) return;
                 Machine* other = other_machine(client, machine);
                 if (other == nullptr) return;
                 world_.hit("begin: again at another node");
                 node::BeginCall again = call;
                 again.gone.reset();
                 send(client, *other, again, more_tries - 1);
               });
}

// ---- what a client does that was told go

Completion RequestClients::completion_of(Client& client, const std::string& ns, const std::string& id) {
  Dice& dice = client.dice;
  Completion completion;
  completion.row = row_of(ns, id);
  std::string body = unique(client);
  completion.response = node::StoredResponse{200, dice.chance(0.5) ? "text/plain" : "text/html", body};
  if (dice.chance(0.1)) completion.response->status = 402;
  if (dice.chance(0.08)) {
    completion.response.reset();
    completion.too_large = true;
  }
  if (dice.chance(0.6)) completion.writes.push_back({"effects", ns + "." + id, body, std::nullopt, {}});
  if (!completion.writes.empty() && dice.chance(0.3))
    completion.writes.push_back({"effects", ns + "." + id + ".b", body, std::nullopt, {}});
  if (!completion.writes.empty() && dice.chance(0.1)) completion.writes.back().condition.if_none_match = true;
  return completion;
}

void RequestClients::run(Client& client, Machine& machine, const node::BeginCall& call,
                         const std::string& token, const std::string& fencing) {
  Dice& dice = client.dice;
  Held held{call.ns, call.id, token, {machine.name(), Hlc{std::stoull(fencing)}}, machine.index(), {}};
  held.completion = completion_of(client, call.ns, call.id);
  held.completion.go = held.go;
  auto shared = std::make_shared<const Held>(std::move(held));
  tokens_.push_back(shared);
  if (tokens_.size() > kTokensKept) tokens_.pop_front();
  Milliseconds work{dice.between(0, dice.chance(habits_.long_work) ? 4'000 : 300)};
  while (dice.chance(0.3)) renew_at(client, shared, Milliseconds{dice.between(0, 2 * work.count() + 500)});
  world_.after(work, [this, &client, shared] { end(client, shared); });
}

void RequestClients::renew_at(Client& client, const HeldPtr& held, Milliseconds pause) {
  std::optional<Milliseconds> lease;
  if (client.dice.chance(0.5)) lease = Milliseconds{client.dice.between(50, 3'000)};
  world_.after(pause, [this, held, lease] {
    Machine& machine = world_.machine(held->giver);
    if (!machine.up() || stopped_) return;
    renew(machine, {row_of(held->ns, held->id), held->go}, held->token, lease);
  });
}

void RequestClients::end(Client& client, const HeldPtr& held) {
  Dice& dice = client.dice;
  std::uint64_t how = dice.below(100);
  if (stopped_ || how < 15) return;  // the caller died
  Machine& giver = world_.machine(held->giver);
  if (how < 27) {
    if (!giver.up()) return;
    release(giver, {row_of(held->ns, held->id), held->go}, held->token);
    if (how < 18) release(giver, {row_of(held->ns, held->id), held->go}, held->token);
    return;
  }
  Machine* machine = &giver;
  if (!giver.up() || how < 40) machine = other_machine(client, giver);
  if (machine == nullptr) return;
  complete(client, *machine, held, held->completion, 2);
}

void RequestClients::complete(Client& client, Machine& machine, const HeldPtr& held,
                              const Completion& completion, int more_tries) {
  auto ended = std::make_shared<bool>(false);
  SentToken token{row_of(held->ns, held->id), held->go};
  send_complete(client, machine, token, held->token, completion, [ended](bool certain) { *ended = certain; });
  if (more_tries == 0 || !client.dice.chance(0.5)) return;
  world_.after(Milliseconds{client.dice.between(20, 800)},
               [this, &client, held, completion, more_tries, ended] {
                 if (stopped_) return;
                 bool repeats = *ended && client.dice.chance(0.3);  // the same again is answered the same
                 if (*ended && !repeats) return;
                 Machine* to = &world_.machine(held->giver);
                 if (!to->up() || client.dice.chance(0.3)) to = other_machine(client, *to);
                 if (to != nullptr) complete(client, *to, held, completion, more_tries - 1);
               });
}

void RequestClients::send_complete(Client& client, Machine& machine, const SentToken& token,
                                   const std::string& text, const Completion& completion,
                                   std::function<void(bool)> done) {
  node::CompleteCall call;
  std::size_t zero = token.row.find('\0');
  call.ns = token.row.substr(0, zero);
  call.id = token.row.substr(zero + 1);
  call.token = text;
  call.response = completion.response;
  call.too_large = completion.too_large;
  call.writes = completion.writes;
  call.session = *client.session;
  if (!token.foreign) world_.history().completions[token.row].push_back(completion);
  if (completion.response) ++world_.history().sends[completion.response->body];
  machine.node().complete(
      std::move(call),
      world_.answer<node::CompleteAnswer>(machine, [this, &client, &machine, token, completion,
                                                    done](const Result<node::CompleteAnswer>& answer) {
        answers_.completed(machine, token, completion, answer);
        if (answer) join(*client.session, answer->session);
        bool open =
            !answer && (answer.error().code == Code::kUnknown || answer.error().code == Code::kUnavailable ||
                        answer.error().slug == "wrong_node");
        done(!open);
      }));
}

void RequestClients::renew(Machine& machine, const SentToken& token, const std::string& text,
                           std::optional<Milliseconds> lease) {
  std::size_t zero = token.row.find('\0');
  machine.node().renew({token.row.substr(0, zero), token.row.substr(zero + 1), text, lease, {}},
                       world_.answer<node::RenewAnswer>(
                           machine, [this, &machine, token](const Result<node::RenewAnswer>& answer) {
                             answers_.renewed(machine, token, answer);
                           }));
}

void RequestClients::release(Machine& machine, const SentToken& token, const std::string& text) {
  std::size_t zero = token.row.find('\0');
  machine.node().release({token.row.substr(0, zero), token.row.substr(zero + 1), text, {}},
                         world_.answer<node::ReleaseAnswer>(
                             machine, [this, &machine, token](const Result<node::ReleaseAnswer>& answer) {
                               answers_.released(machine, token, answer);
                             }));
}

/// A call with a token that was given to whoever: late, at another node, with other content, for another id.
void RequestClients::misuse(Client& client, Machine& machine) {
  Dice& dice = client.dice;
  if (tokens_.empty()) return begin(client, machine);
  HeldPtr held = tokens_[dice.below(tokens_.size())];
  SentToken token{row_of(held->ns, held->id), held->go};
  Completion completion = held->completion;
  std::uint64_t how = dice.below(100);
  if (how < 25) {  // for another request
    HeldPtr other = tokens_[dice.below(tokens_.size())];
    token.row = row_of(other->ns, other->id);
    token.foreign = other->ns != held->ns || other->id != held->id;
    completion.row = token.row;
  }
  if (how >= 25 && how < 40) {  // with other content
    completion = completion_of(client, held->ns, held->id);
    completion.go = held->go;
  }
  std::uint64_t what = dice.below(10);
  if (what < 5) {
    send_complete(client, machine, token, held->token, completion, [](bool) {});
  } else if (what < 8) {
    std::optional<Milliseconds> lease;
    if (dice.chance(0.3)) lease = Milliseconds{dice.between(1, 1'000)};
    renew(machine, token, held->token, lease);
  } else {
    release(machine, token, held->token);
  }
}

// ---- execute, resolve, look

void RequestClients::execute(Client& client, Machine& machine) {
  auto [ns, id] = pick(client);
  Completion completion = completion_of(client, ns, id);
  completion.by = Completion::By::kExecute;
  node::CompleteCall call;
  call.ns = ns;
  call.id = id;
  call.response = completion.response;
  call.too_large = completion.too_large;
  call.writes = completion.writes;
  Sha256 payload = payload_of(id, !client.dice.chance(habits_.wrong_payload));
  call.fingerprint = payload;
  if (client.dice.chance(0.5)) call.session = *client.session;
  Vector seen = call.session;
  world_.history().requests.emplace(completion.row, payload_of(id, true));
  world_.history().completions[completion.row].push_back(completion);
  if (completion.response) ++world_.history().sends[completion.response->body];
  machine.node().execute(std::move(call), world_.answer<node::CompleteAnswer>(
                                              machine, [this, &client, &machine, completion, payload,
                                                        seen](const Result<node::CompleteAnswer>& answer) {
                                                answers_.executed(machine, completion, payload, seen, answer);
                                                if (answer) join(*client.session, answer->session);
                                              }));
}

void RequestClients::resolve(Client& client, Machine& machine) {
  std::pair<std::string, std::string> request = pick(client);
  if (!tokens_.empty() && client.dice.chance(0.5)) {
    const HeldPtr& held = tokens_[client.dice.below(tokens_.size())];
    request = {held->ns, held->id};
  }
  Completion completion;
  completion.by = Completion::By::kOperator;
  completion.row = row_of(request.first, request.second);
  node::ResolveCall call{request.first, request.second, client.dice.chance(0.4), std::nullopt, false};
  if (call.complete) {
    completion.response = node::StoredResponse{200, "text/plain", unique(client)};
    call.response = completion.response;
    world_.history().completions[completion.row].push_back(completion);
    ++world_.history().sends[completion.response->body];
  }
  bool complete = call.complete;
  machine.node().resolve(
      std::move(call),
      world_.answer<node::CompleteAnswer>(
          machine, [this, &machine, completion, complete](const Result<node::CompleteAnswer>& answer) {
            answers_.resolved(machine, completion, complete, answer);
          }));
}

void RequestClients::look(Client& client, Machine& machine) {
  auto [ns, id] = pick(client);
  answers_.look(machine, row_of(ns, id));
}

// ---- at the end

void RequestClients::ask_for_all() {
  for (const auto& [row, payload] : world_.history().requests) {
    if (is_short_lived(row)) continue;
    for (std::size_t i = 0; i < world_.machines(); ++i) {
      Machine& machine = world_.machine(i);
      SentBegin sent{row, {}};
      std::size_t zero = row.find('\0');
      sent.call.ns = row.substr(0, zero);
      sent.call.id = row.substr(zero + 1);
      SeenRow seen = world_.requests().now_at(i, row);
      if (seen.outcome == nullptr || seen.outcome->outcome.fingerprint != kept_part(payload)) continue;
      sent.call.fingerprint = payload;
      ++asked_;
      machine.node().begin(sent.call,
                           world_.answer<node::BeginAnswer>(
                               machine, [this, &machine, sent](const Result<node::BeginAnswer>& answer) {
                                 --asked_;
                                 answers_.began(machine, sent, answer);
                               }));
    }
  }
}

}  // namespace refrain::simulation
