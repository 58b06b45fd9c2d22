// SPDX-License-Identifier: Apache-2.0
#include "clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "world.h"

namespace refrain::simulation {
namespace {

constexpr const char* kNs = "orders";

std::string row_of(const std::string& ns, const std::string& key) {
  return ns + '\0' + key;
}

void join(Vector& into, const Vector& from) {
  for (const auto& [node, hlc] : from) into[node] = std::max(into[node], hlc);
}

}  // namespace

Clients::Clients(World& world) : world_(world), requests_(world) {
  for (int i = 0; i < world.plan().clients; ++i) {
    auto number = static_cast<std::size_t>(i);
    clients_.push_back({number, world.stream(fmt::format("client {}", i)), {}, {}, 0});
  }
}

void Clients::start() {
  for (Client& client : clients_) call_soon(client);
}

void Clients::call_soon(Client& client) {
  Milliseconds pause{client.dice.between(0, 2 * world_.plan().client_pause.count())};
  world_.after(pause + Nanoseconds{client.dice.between(0, 999'999)}, [this, &client] {
    if (stopped_) return;
    call(client);
    call_soon(client);
  });
}

Machine* Clients::any_machine(Client& client) {
  std::vector<Machine*> up;
  for (std::size_t i = 0; i < world_.machines(); ++i) {
    if (world_.machine(i).up()) up.push_back(&world_.machine(i));
  }
  return up.empty() ? nullptr : up[client.dice.below(up.size())];
}

void Clients::call(Client& client) {
  Machine* machine = any_machine(client);
  if (machine == nullptr) return;
  std::uint64_t what = client.dice.below(10);
  if (what < 6) return write(client, *machine);
  if (what < 8 || !world_.plan().requests) return read(client, *machine);
  requests_.call(client.number, client.session, *machine);
}

std::string Clients::unique(Client& client) {
  return fmt::format("c{}.{}", client.number, ++client.calls);
}

void Clients::note_error(const char* call, const Error& error) {
  world_.hit(fmt::format("{}: {}", call, error.slug));
  world_.trace(fmt::format("{} refused: {}", call, error.slug));
  if (error.code == Code::kInvalid || error.code == Code::kCorrupt)
    world_.wrong(fmt::format("{} was refused as {}: {}", call, error.slug, error.detail));
}

// ---- kv

node::Write Clients::one_write(Client& client, const std::string& key) {
  node::Write write{kNs, key, unique(client), std::nullopt, {}};
  if (client.dice.chance(0.15)) write.value.reset();
  auto seen = client.seen.find(row_of(kNs, key));
  if (seen != client.seen.end() && client.dice.chance(0.1)) write.condition.if_match = seen->second;
  if (client.dice.chance(0.05)) write.condition = {std::nullopt, true};
  return write;
}

void Clients::write(Client& client, Machine& machine) {
  node::CommitCall call;
  auto keys = static_cast<std::uint64_t>(world_.plan().keys);
  std::uint64_t first = client.dice.below(keys);
  std::uint64_t count = client.dice.chance(0.2) ? std::min<std::uint64_t>(2, keys) : 1;
  for (std::uint64_t i = 0; i < count; ++i)
    call.writes.push_back(one_write(client, fmt::format("k{}", (first + i) % keys)));
  call.session = client.session;
  call.ack.timeout = Milliseconds{client.dice.between(50, 2'000)};
  if (client.dice.chance(0.1)) call.ack.kind = node::Ack::Kind::kLog;
  if (client.dice.chance(0.1)) call.ack.kind = node::Ack::Kind::kAll;
  auto writes = call.writes;
  machine.node().commit(std::move(call),
                        world_.answer<node::CommitAnswer>(
                            machine, [this, &client, &machine, writes](Result<node::CommitAnswer> answer) {
                              told(client, machine, writes, std::move(answer));
                            }));
}

void Clients::told(Client& client, Machine& machine, const std::vector<node::Write>& writes,
                   Result<node::CommitAnswer> answer) {
  if (!answer) return note_error("commit", answer.error());
  world_.trace(fmt::format("{} acknowledged {} ({})", machine.name(), format_commit_id(answer->commit),
                           answer->state));
  world_.hit("commit: " + answer->state);
  ToldCommit told{answer->commit, answer->version, {}};
  for (const node::Write& write : writes) {
    std::string row = row_of(write.ns, write.key);
    told.rows.insert(row);
    client.seen[row] = std::max(client.seen[row], answer->version);
  }
  world_.history().commits.push_back(std::move(told));
  join(client.session, answer->session);
}

void Clients::read(Client& client, Machine& machine) {
  std::string key = fmt::format("k{}", client.dice.below(static_cast<std::uint64_t>(world_.plan().keys)));
  Milliseconds wait{client.dice.between(0, 500)};
  machine.node().await_session(
      client.session, wait,
      world_.answer<void>(machine, [this, &client, &machine, key](const Result<void>& fresh) {
        if (!fresh) return note_error("read", fresh.error());
        check_read(client, machine, kNs, key);
      }));
}

/// The node said that it covers the session; the session may have moved on since, so it is asked only for
/// what it had.
void Clients::check_read(Client& client, Machine& machine, const std::string& ns, const std::string& key) {
  Vector covered = machine.node().applied();
  auto found = machine.node().get(ns, key);
  if (!found) return note_error("read", found.error());
  std::string row = row_of(ns, key);
  auto seen = client.seen.find(row);
  bool must_have = seen != client.seen.end() && covered[seen->second.node] >= seen->second.hlc;
  Version got = *found ? (*found)->version : Version{};
  world_.trace(fmt::format("{} reads {}: {}", machine.name(), key, *found ? format_version(got) : "nothing"));
  if (must_have && *found && got < seen->second)
    world_.wrong(fmt::format("{} gave {} of {}, older than {}, which this client had seen", machine.name(),
                             format_version(got), key, format_version(seen->second)));
  if (must_have && !*found) {
    bool deleted = std::ranges::any_of(world_.ghost().commits(), [&](const auto& entry) {
      const GhostCommit& commit = entry.second;
      return commit.version >= seen->second &&
             std::ranges::any_of(commit.writes,
                                 [&](const GhostWrite& write) { return write.row == row && !write.value; });
    });
    if (!deleted)
      world_.wrong(fmt::format("{} has nothing under {}, which nobody deleted", machine.name(), key));
  }
  if (*found) {
    client.seen[row] = std::max(client.seen[row], got);
    join(client.session, {{got.node, got.hlc}});
  } else {
    join(client.session, covered);
  }
}

}  // namespace refrain::simulation
