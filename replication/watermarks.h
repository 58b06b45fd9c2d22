// SPDX-License-Identifier: Apache-2.0
// Who has what: everything that is worked out from the members table and the newest tick of each member. Pure
// functions, any thread. "Shown" is what a member's newest applied tick says, for this node itself its own
// applied table.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "replication/members_table.h"
#include "store/meta.h"
#include "store/operations.h"

namespace refrain::replication {

/// The newest tick applied of a journal. Of a tick behind a gap nothing of this is true: it is not applied.
using PeerTick = store::StoredTick;
using PeerTicks = std::map<Journal, PeerTick>;

/// What this node knows. Refers to what the caller keeps.
struct Knowledge {
  const MembersTable& table;
  const Journal& self;
  const store::AppliedTable& applied;  // own journal too
  const store::AppliedTable& synced;   // the part of it that is on this disk for good
  const PeerTicks& ticks;
};

/// What `reader` has applied of `journal`, as far as is known here; zeros when nothing is.
store::Applied reached(const Knowledge& known, const Journal& reader, const Journal& journal);

/// The part of it that no power cut takes back: what its tick says, or what is synced here. Only this counts
/// where a node says that a commit is somewhere.
store::Applied shown(const Knowledge& known, const Journal& reader, const Journal& journal);

/// The journal of an ended incarnation: its end is known and every active member shows it applied.
bool complete(const Knowledge& known, Incarnation of);

/// Nobody joins and no ended journal is incomplete. While this is false nothing new becomes stable.
bool settled(const Knowledge& known);

/// S: everything up to it is at every active member. Never falls below `before`; stands still unless
/// settled().
Hlc stable_hlc(const Knowledge& known, Hlc before);

/// Own commits up to it may leave the outbox: shown by every active member, and Kafka has acknowledged them
/// (the topic is public). Never below `before`; stands still unless settled().
Seq stable_seq(const Knowledge& known, Seq published, Seq before);

/// Own commits up to it are shown by every member that is active now, and published. Never falls.
Seq synced_seq(const Knowledge& known, Seq published, Seq before);

/// The smallest hlc that is larger than all met: where a new member's clock starts.
Hlc newest_hlc_met(const Knowledge& known);

/// The active members that show the commit, and those that do not. Its writer has it as soon as anybody does:
/// its own word for that comes with its next tick only.
struct Holders {
  std::vector<NodeName> has;
  std::vector<NodeName> lacks;
};
Holders holders(const Knowledge& known, const CommitId& id);

// ---- states of a commit

enum class EventState : std::uint8_t { kPending, kPublished, kApplied, kSynced, kStable, kFailed, kVoid };
std::string_view event_state_name(EventState state);  // "pending", "published", "applied", ...

struct OwnProgress {
  Seq published;
  Seq synced;
  Seq stable;
  bool breaker_open = false;  // what is not published counts as failed
};

/// Of a commit of this node's own, present incarnation.
EventState own_event_state(const Knowledge& known, const OwnProgress& own, Seq seq);

/// Of anybody else's, or of an ended incarnation's; nullopt when nobody is known to have it.
std::optional<EventState> other_event_state(const Knowledge& known, const CommitId& id);

// ---- lag

/// The newest of a journal that anybody is known to have.
store::Applied last_known(const Knowledge& known, const Journal& journal);

struct Lag {
  std::uint64_t commits = 0;
  Milliseconds time{0};  // how far apart the hlcs are; 0 when no commit is lacking
};
Lag lag(const Knowledge& known, const Journal& reader, const Journal& journal);

// ---- who holds the outbox

struct OutboxHolder {
  enum class Why : std::uint8_t { kJoining, kIncomplete, kBehind, kUnpublished };
  Why why = Why::kBehind;
  Journal who;
  WallMs since;  // of the join or the ending, by its writer's clock; of the newest tick, or of what it lacks
};
/// Whoever keeps own commits up to `newest` from being stable, the one to look at first in front; empty when
/// all is stable.
std::vector<OutboxHolder> outbox_holders(const Knowledge& known, Seq published, Seq newest);

}  // namespace refrain::replication
