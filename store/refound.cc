// SPDX-License-Identifier: Apache-2.0
#include "store/refound.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/planted.h"
#include "store/draft.h"
#include "store/outbox.h"
#include "store/remove_rows.h"

namespace refrain::store {
namespace {

/// What belongs to the cluster that is gone: who was in it, how far its journals were read, what was to be
/// published.
bool is_the_old_clusters(Family family, std::string_view key) {
  if (family == Family::kOutbox || family == Family::kRequests) return true;
  if (family != Family::kDefault) return false;
  static constexpr std::array<std::string_view, 5> kPrefixes = {"applied/", "cursor/", "tick/", "members/",
                                                                "word/"};
  return key == "published" || key == "synced" || key == "outbox" || key == "unproven" ||
         key == "members_agreed" || key == "own_entry" ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](auto prefix) { return key.starts_with(prefix); });
}

Result<void> forget_the_old_cluster(Engine& engine) {
  for (Family family : {Family::kDefault, Family::kOutbox, Family::kRequests}) {
    if (family == Family::kRequests && !REFRAIN_PLANTED(restore_forgets_requests)) continue;
    auto removed =
        remove_rows(engine, family, [family](auto key) { return is_the_old_clusters(family, key); });
    if (!removed) return removed;
  }
  return {};
}

/// The identity of a directory that was made without brokers: it may found a cluster, and does with its rows.
Result<void> give_new_identity(Engine& engine, ClusterId cluster, Incarnation incarnation, Identity identity,
                               const AppliedTable& applied) {
  auto hlc = Meta::hlc(engine);
  if (!hlc) return hlc.error();
  for (const auto& [journal, reached] : applied) *hlc = std::max(*hlc, reached.hlc);
  identity.cluster = cluster;
  identity.incarnation = incarnation;
  identity.standalone = true;
  identity.rolled_back = false;
  identity.former.clear();
  identity.next = {};
  if (REFRAIN_PLANTED(restored_clock_from_wall)) *hlc = {};
  Draft draft(engine);
  Meta::set_identity(draft, identity);
  Meta::set_hlc(draft, *hlc);
  return engine.write(draft.take(), Durability::kSynced);
}

}  // namespace

Result<Refounded> refound(Engine& engine, ClusterId cluster, Incarnation incarnation) {
  auto identity = Meta::identity(engine);
  if (!identity) return identity.error();
  if (!*identity) return corrupt("The backup has no identity: it is no node's store.");
  if ((*identity)->installing)
    return conflict("conflict", "The backup was taken of a node that was joining: it has half a snapshot.");
  auto applied = Meta::applied(engine);
  if (!applied) return applied.error();
  auto aside = Outbox::count_aside(engine);
  if (!aside) return aside.error();
  Refounded done{(*identity)->cluster, std::move(*applied), *aside};
  if (auto forgotten = forget_the_old_cluster(engine); !forgotten) return forgotten.error();
  if (auto given = give_new_identity(engine, cluster, incarnation, **identity, done.applied); !given)
    return given.error();
  return done;
}

}  // namespace refrain::store
