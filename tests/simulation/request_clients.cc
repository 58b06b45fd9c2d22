// SPDX-License-Identifier: Apache-2.0
#include "request_clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"
#include "world.h"

namespace refrain::simulation {
namespace {

std::string row_of(const std::string& ns, const std::string& id) {
  return ns + '\0' + id;
}

void join(Vector& into, const Vector& from) {
  for (const auto& [node, hlc] : from) into[node] = std::max(into[node], hlc);
}

}  // namespace

void configure_requests(node::Config& config) {
  config.requests.defaults.lease = Milliseconds{1'000};
  config.requests.namespaces["held"] = config.requests.defaults;
  config.requests.namespaces["held"].on_expiry = node::OnExpiry::kHold;
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

void RequestClients::note_error(const char* call, const Error& error) {
  world_.hit(fmt::format("{}: {}", call, error.slug));
  world_.trace(fmt::format("{} refused: {}", call, error.slug));
  if (error.code == Code::kInvalid || error.code == Code::kCorrupt)
    world_.wrong(fmt::format("{} was refused as {}: {}", call, error.slug, error.detail));
}

void RequestClients::call(std::size_t number, Vector& session, Machine& machine) {
  begin(client_of(number, session), machine);
}

void RequestClients::begin(Client& client, Machine& machine) {
  node::BeginCall call;
  call.ns = client.dice.chance(0.3) ? "held" : "payments";
  // A few ids at a time, which move on: so that several clients meet at one.
  auto window = static_cast<std::uint64_t>(world_.now().value / 1'500'000'000);
  call.id = fmt::format("r{}", window + client.dice.below(2));
  call.fingerprint = sha256(call.id);
  call.session = *client.session;
  if (client.dice.chance(0.2)) call.wait = Milliseconds{client.dice.between(10, 1'000)};
  world_.history().requests.insert(row_of(call.ns, call.id));
  std::string ns = call.ns;
  std::string id = call.id;
  machine.node().begin(
      std::move(call), world_.answer<node::BeginAnswer>(machine, [this, &client, &machine, ns,
                                                                  id](Result<node::BeginAnswer> answer) {
        if (!answer) return note_error("begin", answer.error());
        world_.trace(fmt::format("{} began {}: {}", machine.name(), id, answer->go ? "go" : "replay"));
        world_.hit(answer->go ? "begin: go" : "begin: replay");
        if (answer->go) return run(client, machine, ns, id, answer->go->token);
        auto sent = world_.history().attempts[row_of(ns, id)];
        if (!sent.contains(answer->replay->body))
          world_.wrong(fmt::format("{} replayed for {} what nobody sent", machine.name(), id));
      }));
}

void RequestClients::run(Client& client, Machine& machine, const std::string& ns, const std::string& id,
                         const std::string& token) {
  Milliseconds work{client.dice.between(0, client.dice.chance(0.3) ? 3'000 : 300)};
  std::uint64_t end = client.dice.below(10);
  world_.after(work, [this, &client, &machine, ns, id, token, end] {
    if (!machine.up() || stopped_ || end == 0) return;  // the caller died
    if (end > 1) return complete(client, machine, ns, id, token);
    machine.node().release(
        {ns, id, token, {}},
        world_.answer<node::ReleaseAnswer>(machine, [this](const Result<node::ReleaseAnswer>& answer) {
          if (!answer) return note_error("release", answer.error());
          world_.hit("release: done");
        }));
  });
}

void RequestClients::complete(Client& client, Machine& machine, const std::string& ns, const std::string& id,
                              const std::string& token) {
  node::CompleteCall call;
  call.ns = ns;
  call.id = id;
  call.token = token;
  std::string body = unique(client);
  call.response = node::StoredResponse{200, "text/plain", body};
  call.writes.push_back({"effects", id, body, std::nullopt, {}});
  call.session = *client.session;
  world_.history().attempts[row_of(ns, id)].insert(body);
  machine.node().complete(
      std::move(call),
      world_.answer<node::CompleteAnswer>(
          machine, [this, &client, &machine, ns, id, body](const Result<node::CompleteAnswer>& answer) {
            if (!answer) return note_error("complete", answer.error());
            world_.trace(
                fmt::format("{} completed {}: {}", machine.name(), id, format_commit_id(answer->commit)));
            world_.hit("complete: done");
            join(*client.session, answer->session);
            if (!answer->replayed)
              world_.history().completes[row_of(ns, id)].push_back({body, answer->commit});
          }));
}

}  // namespace refrain::simulation
