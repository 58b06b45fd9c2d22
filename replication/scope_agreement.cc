// SPDX-License-Identifier: Apache-2.0
#include "replication/scope_agreement.h"

#include <fmt/format.h>

#include <algorithm>

namespace refrain::replication {
namespace {

constexpr std::string_view kWait =
    "Nobody new may run until it is: call again soon; if it lasts, look at `refrain sync`.";

/// The entry with which it last changed its scope of `ns` while it was a member; 0 when it never did.
std::uint64_t changed_at(const Member& member, const std::string& ns) {
  auto of = [&](const std::string& name) {
    auto found = member.scopes_changed.find(name);
    return found == member.scopes_changed.end() ? 0 : found->second;
  };
  return std::max(of(ns), of(""));
}

}  // namespace

std::string scope_in(const MemberTraits& traits, const std::string& ns) {
  if (auto found = traits.scopes.find(ns); found != traits.scopes.end()) return found->second;
  auto otherwise = traits.scopes.find("");
  return otherwise == traits.scopes.end() ? "local" : otherwise->second;
}

std::optional<std::string> scope_trouble(const Knowledge& known, const std::string& ns,
                                         const std::string& ours) {
  for (const Journal& journal : known.table.active()) {
    const Member& member = *known.table.find(journal.incarnation);
    std::string theirs = scope_in(member.traits, ns);
    if (theirs != ours) {
      return journal == known.self
                 ? fmt::format("That {} has the scope {} for '{}' (it was {}) is not announced yet. {}",
                               journal.node, ours, ns, theirs, kWait)
                 : fmt::format(
                       "The members do not all show the same scope: {} has the scope {} for '{}', this "
                       "node has {}. Nobody new may run until they do: give all nodes the same "
                       "`requests`, then call again.",
                       journal.node, theirs, ns, ours);
    }
    std::uint64_t changed = changed_at(member, ns);
    if (changed == 0 || journal == known.self) continue;
    auto tick = known.ticks.find(journal);
    if (tick == known.ticks.end() || tick->second.tick.members_n < changed) {
      return fmt::format(
          "{} has the new scope of '{}', but what it decided before is not surely here yet. {}", journal.node,
          ns, kWait);
    }
  }
  for (const Journal& journal : known.table.ended()) {
    const Member& member = *known.table.find(journal.incarnation);
    bool another = scope_in(member.traits, ns) != ours || changed_at(member, ns) != 0;
    if (!another || journal.node == known.self.node) continue;  // of our own name: we joined with all of it
    auto end = known.table.end(journal.incarnation);
    auto applied = known.applied.find(journal);
    Seq have = applied == known.applied.end() ? Seq{} : applied->second.seq;
    if (!end || have < *end) {
      return fmt::format(
          "{} had another scope for '{}' and is no member any more; what it decided is not all here yet. {}",
          journal.node, ns, kWait);
    }
  }
  return std::nullopt;
}

}  // namespace refrain::replication
