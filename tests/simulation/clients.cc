// SPDX-License-Identifier: Apache-2.0
#include "clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
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
  world_.hit("client calls");
  std::uint64_t what = client.dice.below(100);
  if (what < 55) return write(client, *machine);
  if (what < 68) return read(client, *machine);
  if (what < 72) return scan(client, *machine);
  if (what < 78) return inspect(client, *machine);
  if (what < 80) return resolve_conflict(client, *machine);
  if (world_.plan().requests) return requests_.call(client.number, client.session, *machine);
  write(client, *machine);
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
  if (write.value && client.dice.chance(0.12))
    write.ttl = Milliseconds{client.dice.between(200, client.dice.chance(0.5) ? 2'000 : 20'000)};
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
  if (!client.dice.chance(0.1)) return send(client, machine, std::move(call));
  std::string key = unique(client);
  call.idempotency_key = node::IdempotencyKey{key, sha256(key)};
  send(client, machine, call);
  // Its client gives up waiting and sends it again, often at another node.
  for (std::uint64_t again = 1 + client.dice.below(2); again > 0; --again) {
    std::size_t where = client.dice.chance(0.5) ? machine.index() : client.dice.below(world_.machines());
    Milliseconds patience{client.dice.between(1, 2'000)};
    world_.after(patience, [this, &client, call, where] {
      Machine& other = world_.machine(where);
      if (stopped_ || !other.up()) return;
      world_.hit("keyed write: sent again");
      send(client, other, call);
    });
  }
}

void Clients::send(Client& client, Machine& machine, node::CommitCall call) {
  auto writes = call.writes;
  std::string key = call.idempotency_key ? call.idempotency_key->key : "";
  auto done = [this, &client, &machine, writes, key](Result<node::CommitAnswer> answer) {
    if (answer && !key.empty()) check_keyed(machine, key, *answer);
    told(client, machine, writes, std::move(answer));
  };
  machine.node().commit(std::move(call), world_.answer<node::CommitAnswer>(machine, done));
}

/// A key is carried out once at a node. Two nodes that had not heard of each other may both carry it out;
/// then a replay may give either, and the answer of the first may come after it.
void Clients::check_keyed(Machine& machine, const std::string& key, const node::CommitAnswer& answer) {
  world_.hit(answer.replayed ? "keyed write: replayed" : "keyed write: done");
  if (answer.replayed) return;
  auto [first, fresh] = world_.history().keyed.try_emplace({machine.name(), key}, answer.commit);
  if (fresh || first->second == answer.commit) return;
  if (first->second.incarnation != answer.commit.incarnation) {
    // Another incarnation of it carries out what was lost with the one before, whose answer may come later.
    bool late = answer.commit.incarnation != world_.ghost().node(machine.index()).incarnation;
    world_.must_be_void(late ? answer.commit : first->second, machine.name() + " carried out again");
    if (!late) first->second = answer.commit;
  } else {
    world_.wrong(fmt::format("{} carried out the write of key {} twice: {} and {}", machine.name(), key,
                             format_commit_id(first->second), format_commit_id(answer.commit)));
  }
}

void Clients::told(Client& client, Machine& machine, const std::vector<node::Write>& writes,
                   Result<node::CommitAnswer> answer) {
  if (!answer) {
    if (answer.error().slug == "clock_drift" && world_.clock_was_always_right(machine) &&
        !world_.changed(machine))
      world_.wrong(fmt::format("{}, whose clock is right, took over a time that it refuses", machine.name()));
    return note_error("commit", answer.error());
  }
  world_.trace(fmt::format("{} acknowledged {} ({})", machine.name(), format_commit_id(answer->commit),
                           answer->state));
  world_.hit("commit: " + answer->state);
  world_.check_durable(answer->commit, answer->applied_by, machine.name() + " acknowledged, applied by");
  world_.history().holders.push_back({answer->commit, world_.journals_of(answer->applied_by)});
  if (!answer->replayed)
    world_.check_durable(answer->commit, {machine.name()}, machine.name() + " acknowledged");
  if (!answer->replayed) check_conditions(machine, writes, answer->commit);
  ToldCommit told{answer->commit, answer->version, {}};
  for (const node::Write& write : writes) {
    std::string row = row_of(write.ns, write.key);
    told.rows.insert(row);
    client.seen[row] = std::max(client.seen[row], answer->version);
  }
  world_.history().commits.push_back(std::move(told));
  join(client.session, answer->session);
}

/// A conditional write was done only where the key stood, at its writer, as the condition says.
void Clients::check_conditions(Machine& machine, const std::vector<node::Write>& writes, const CommitId& id) {
  auto commit = world_.ghost().commits().find(id);
  if (commit == world_.ghost().commits().end()) return;
  for (std::size_t i = 0; i < writes.size() && i < commit->second.writes.size(); ++i) {
    const node::Condition& condition = writes[i].condition;
    if (!condition.if_match && !condition.if_none_match) continue;
    const GhostWrite& done = commit->second.writes[i];
    const GhostWrite* before = nullptr;
    Version version;
    for (const auto& [other, write] : world_.ghost().versions(done.row)) {
      if (!done.past.contains(write->place)) continue;
      before = write;
      version = other;
    }
    bool there = before != nullptr && before->value;
    bool may_have_ended = there && before->expires_at;
    bool held = condition.if_match ? there && version == *condition.if_match : !there || may_have_ended;
    if (!held)
      world_.wrong(fmt::format("{} did {} although its condition on {} did not hold", machine.name(),
                               format_commit_id(id), writes[i].key));
  }
}

void Clients::resolve_conflict(Client& client, Machine& machine) {
  // What requests have done is theirs: an oracle compares it with the run that is replayed.
  auto open = machine.node().conflicts(kNs, "", true, "", 10);
  if (!open || open->items.empty()) return;
  const node::ConflictReport& conflict = open->items[client.dice.below(open->items.size())];
  using Choice = node::ConflictResolveCall::Choice;
  node::ConflictResolveCall call{conflict.id, static_cast<Choice>(client.dice.below(4)), unique(client)};
  std::vector<node::Write> writes{{conflict.ns, conflict.key, call.value, std::nullopt, {}}};
  auto done = [this, &client, &machine, writes](Result<node::CommitAnswer> answer) {
    if (answer) world_.hit("conflict resolved");
    told(client, machine, writes, std::move(answer));
  };
  machine.node().resolve_conflict(std::move(call), world_.answer<node::CommitAnswer>(machine, done));
}

// ---- reading

namespace {

std::optional<Version> seen_of(const std::map<std::string, Version>& seen, const std::string& row) {
  auto found = seen.find(row);
  return found == seen.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

void Clients::read(Client& client, Machine& machine) {
  std::string key = fmt::format("k{}", client.dice.below(static_cast<std::uint64_t>(world_.plan().keys)));
  Milliseconds wait{client.dice.between(0, 500)};
  std::optional<Version> before = seen_of(client.seen, row_of(kNs, key));
  auto done = [this, &client, &machine, key, before](const Result<void>& fresh) {
    if (!fresh) return note_error("read", fresh.error());
    auto found = machine.node().get(kNs, key);
    if (!found) return note_error("read", found.error());
    check_read(client, machine, key, before, *found ? std::optional((*found)->version) : std::nullopt);
    join(client.session, machine.node().seen());
  };
  machine.node().await_session(client.session, wait, world_.answer<void>(machine, done));
}

void Clients::scan(Client& client, Machine& machine) {
  auto before = client.seen;
  auto done = [this, &client, &machine, before](const Result<void>& fresh) {
    if (!fresh) return note_error("scan", fresh.error());
    auto found = machine.node().scan(kNs, "k", "", 100, true);
    if (!found) return note_error("scan", found.error());
    world_.hit("scans");
    for (int i = 0; i < world_.plan().keys; ++i) {
      std::string key = fmt::format("k{}", i);
      auto item = std::ranges::find(found->items, key, &node::ScanItem::key);
      check_read(client, machine, key, seen_of(before, row_of(kNs, key)),
                 item == found->items.end() ? std::nullopt : std::optional(item->version));
    }
    join(client.session, found->session);
  };
  machine.node().await_session(client.session, Milliseconds{300}, world_.answer<void>(machine, done));
}

/// The node said that it covers what the client had seen when it asked.
void Clients::check_read(Client& client, Machine& machine, const std::string& key,
                         const std::optional<Version>& before, const std::optional<Version>& got) {
  world_.trace(fmt::format("{} reads {}: {}", machine.name(), key, got ? format_version(*got) : "nothing"));
  std::string row = row_of(kNs, key);
  if (got) client.seen[row] = std::max(client.seen[row], *got);
  if (!before) return;
  if (world_.may_be_void(*before)) {
    // "Only a member gets what there still is of it": who is over may not say that it covers that.
    if (got && *got < *before && world_.is_fenced(machine))
      world_.history().not_read.emplace(
          *world_.ghost().minted(*before),
          fmt::format("{}, which is over, gave an older version of {} than this client had seen",
                      machine.name(), key));
    return;
  }
  if (got && *got < *before)
    world_.wrong(fmt::format("{} gave {} of {}, older than {}, which this client had seen", machine.name(),
                             format_version(*got), key, format_version(*before)));
  if (got) return;
  bool may_be_gone = std::ranges::any_of(world_.ghost().commits(), [&](const auto& entry) {
    const GhostCommit& commit = entry.second;
    return commit.version >= *before && std::ranges::any_of(commit.writes, [&](const GhostWrite& write) {
             return write.row == row && (!write.value || write.expires_at);
           });
  });
  if (!may_be_gone)
    world_.wrong(fmt::format("{} has nothing under {}, which nobody deleted", machine.name(), key));
}

// ---- what became of a commit

void Clients::inspect(Client& client, Machine& machine) {
  const auto& commits = world_.history().commits;
  if (commits.empty()) return;
  std::size_t back = client.dice.below(std::min<std::size_t>(commits.size(), 30));
  CommitId id = commits[commits.size() - 1 - back].commit;
  auto done = [this, &machine, id](const Result<node::EventReport>& event) {
    if (!event) return world_.hit("event: " + event.error().slug);
    world_.hit("event: " + event->state);
    world_.check_durable(id, event->applied_by, machine.name() + " says applied by");
    if (event->state == "synced" || event->state == "stable")
      world_.check_durable(id, world_.names(), machine.name() + " says " + event->state);
  };
  machine.node().event(id, world_.answer<node::EventReport>(machine, done));
}

}  // namespace refrain::simulation
