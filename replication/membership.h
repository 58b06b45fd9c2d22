// SPDX-License-Identifier: Apache-2.0
// Whether and how this node is a member: reads the members log, counts its entries, writes this node's own,
// and says what the node has to do. A state machine that is stepped; deterministic; its only doors are the
// Log and Peers seams, which do not block.
//
// Crash behaviour. Nothing is acted on before it is durable: what a step gives in `persist` the node writes
// synced, then calls persisted(); until then the same rows are given again with each step. An own entry is
// durable before it is sent, so that after a crash the very same bytes are sent again, and a word that was
// given binds.
//
// Made anew after each start, after a snapshot was taken and after starting over, from what the store then
// holds.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/types.h"
#include "replication/log.h"
#include "replication/members_table.h"
#include "replication/members_topic.h"
#include "replication/peer_answers.h"
#include "replication/peers.h"
#include "replication/watermarks.h"
#include "store/meta.h"

namespace refrain::replication {

struct MembershipConfig {
  std::string cluster;            // its name: the topics begin with refrain.<cluster>.
  bool found = false;             // serve --found
  MemberTraits traits;            // of this node, now
  TopicSpec topic;                // of the members log
  Milliseconds reread{5'000};     // how often the log is read whole
  Milliseconds silence{10'000};   // of what has our name, before we may replace it
  Milliseconds patience{10'000};  // with what does not move: a joiner that lacks something, a gap
};

/// Who this directory is, as stored.
struct MembershipIdentity {
  Journal self;
  std::optional<ClusterId> cluster;  // none until the first entry was counted, or minted when born alone
  bool born_alone = false;           // it had its cluster id before it ever saw a log
  bool snapshot_taken = false;       // its rows are a whole copy: it may read journals
  bool rolled_back = false;          // it was found so once; only rejoining mends it
  store::AgreedEntry agreed;         // as the newest MembershipStep::agreed
  Incarnation next;                  // what it rejoins as; 0 = it does not rejoin
  std::vector<Incarnation>
      former;  // earlier incarnations that this directory started over from, oldest first
};

/// How far the reading of one journal topic has got.
struct JournalPass {
  SteadyNs opened;          // when the present reader was opened
  bool from_start = false;  // at the log's start, not at the cursor
  bool at_end = false;      // it has met an end, and everything before it was applied or passed over
  bool parked = false;
};

/// What the node's first reading of its own journal found, to an end seen after the start.
struct OwnJournal {
  Seq newest;            // of this incarnation, in the log
  bool differs = false;  // a record has other bytes than this directory's commit of that seq
};

/// All that the node tells with a step. References are to what it keeps; they must hold during the call only.
struct MembershipFacts {
  WallMs wall;
  SteadyNs steady;
  const store::AppliedTable& applied;        // durable or in the batch that is written before what we persist
  const PeerTicks& ticks;                    // newest applied tick of each journal
  const std::map<Journal, SteadyNs>& heard;  // when a tick of it last came, since this start
  const std::map<NodeName, JournalPass>& passes;  // every journal that is being read
  const std::map<Journal, Seq>& gaps;             // first missing seq
  const std::map<Journal, Seq>& lowest_kept;      // of journals behind a gap, what their writers still have
  /// Of ended journals: up to where the reader has met them without a gap, beyond what may be applied too.
  const std::map<Journal, Seq>& readable;
  Seq newest;                                    // own journal
  Seq newest_write;                              // the newest of it that may have operations
  Seq others_may_have;                           // of it nothing newer was sent by this directory
  bool nothing_void_left = true;                 // what is void of its own commits has been put aside
  const std::optional<OwnJournal>& own_journal;  // none until it has been read to its end
};

enum class Mode : std::uint8_t {
  kReadingMembers,     // knows nothing yet
  kWaitingForFounder,  // the members log is empty
  kJoining,
  kActive,
  kFenced,          // this incarnation is over
  kRolledBack,      // the directory is older than its own journal
  kForked,          // two histories of the members log: an operator decides
  kNameInUse,       // refuse to start
  kStandaloneData,  // refuse to start: born alone, and not started with --found
  kWrongCluster,    // not a member, and the log belongs to another cluster
  kNewerFormat,     // the cluster writes, or an entry is of, a format that this program does not know: stop
  kOlderFormat,     // the cluster's format is one that this program has given up: stop
};
std::string_view mode_name(Mode mode);  // "active", "waiting for founder", ... for status

struct Standing {
  Mode mode = Mode::kReadingMembers;
  std::string detail;         // the phase, and what it waits for; empty when all is well
  SteadyNs since;             // of the mode
  bool takes_writes = false;  // kv work is taken
  bool may_publish = false;   // its journal may be written to the log
};

/// A row of the store.
struct MembersRow {
  enum class Kind : std::uint8_t { kEntry, kOwnEntry };
  Kind kind;
  std::uint64_t n;  // kEntry: row members/<n>. kOwnEntry: there is one such row, the newest replaces it
  std::string bytes;
};

/// Which journal to open a reader for once more, at its cursor or at the log's start. Given with each step
/// until facts.passes shows a reader that was opened at `not_before` or later.
struct ReadAgain {
  NodeName journal;
  bool from_start = false;
  SteadyNs not_before;
};

struct SnapshotFrom {
  Journal member;
  std::string address;
};

/// Empty the store, mint a new incarnation, keep `former` in its identity.
struct StartOver {
  std::string reason;
  std::vector<Incarnation> former;
  Incarnation next;  // which one; 0 = any new one
};

/// What the node does after a step, in this order.
struct MembershipStep {
  std::vector<MembersRow> persist;      // write synced, then persisted()
  std::optional<ClusterId> cluster;     // the identity takes it, in the same batch
  Incarnation next;                     // so does this one, unless it is 0
  std::optional<StartOver> start_over;  // nothing else counts then
  std::optional<SnapshotFrom>
      snapshot;  // take one, unless that is under way; snapshot_failed() when it fails
  std::vector<ReadAgain> read_again;
  std::optional<store::AgreedEntry> agreed;  // to be kept, with the next batch
  std::string mended;    // the members log was lost or cut, and is whole again: what was found; else empty
  bool changed = false;  // table or standing differ from the step before
  Nanoseconds idle{0};   // step again at the latest after this
};

class Membership {
 public:
  /// `entries`: the rows members/1.. in order; `own`: the row of the newest own entry. kCorrupt when they do
  /// not replay.
  static Result<std::unique_ptr<Membership>> create(MembershipConfig config, MembershipIdentity identity,
                                                    std::vector<std::string> entries,
                                                    std::optional<std::string> own, Log& log, Peers& peers,
                                                    Random& random);

  MembershipStep step(const MembershipFacts& facts);

  /// Everything that the newest step asked to persist is durable.
  void persisted();
  void snapshot_failed(const std::string& reason);

  // ---- an operator's orders. What they come to, the table shows; a restart forgets them, save one whose
  // entry is durable, and rejoin.

  /// Writes that this incarnation, another one's, is over.
  void evict(const Journal& member);
  /// Takes no more writes, waits until every active member has what this node wrote, and ends itself.
  void leave();
  /// Becomes a member anew, with an empty store: at once when its incarnation is over; else it takes no more
  /// writes, waits until every active member has what it wrote, and replaces itself.
  void rejoin();
  bool leaving() const { return leaving_; }
  bool rejoining() const { return identity_.next.value != 0 || wants_rejoin_; }
  /// What a step gave as `agreed` is written.
  void agreed_is_kept(const store::AgreedEntry& agreed) { agreed_ = agreed; }

  /// Reads the members log at once (an unknown incarnation was met).
  void read_soon();

  /// Of an ended incarnation: how far this node may apply its journal, by its own word, also one that is not
  /// sent yet, or by the end. What lies beyond is passed over. none = no limit yet, or not over.
  std::optional<Seq> limit(Incarnation of) const;

  /// The table is as the members log was at some moment since this start, or newer.
  bool read_since_start() const { return read_once_ && fresh_.empty() && !lost_; }

  const MembersTable& table() const { return table_; }
  const std::vector<LoggedEntry>& entries() const { return entries_; }
  const Standing& standing() const { return standing_; }
  bool active() const { return standing_.mode == Mode::kActive; }
  /// It has seen the members log lost or cut and waits until all active members show the same.
  bool waits_for_agreement() const { return lost_; }
  /// Whom it waits for then; itself, as long as the log lacks entries that it knows.
  const std::vector<Incarnation>& waits_for() const { return waits_for_; }
  /// In which format this node writes what is new, for now: the cluster's, or as long as it has none the
  /// oldest that its program writes.
  std::uint32_t writes_format() const;
  /// What is wrong without changing the mode: the members log unreachable, lost, of another cluster; empty
  /// when nothing is.
  const std::string& trouble() const { return trouble_; }

 private:
  using Facts = MembershipFacts;

  Membership(MembershipConfig config, MembershipIdentity identity, Log& log, Peers& peers, Random& random);

  // ---- reading (membership.cc)
  Result<void> replay_stored(const std::vector<std::string>& entries, const std::optional<std::string>& own);
  void take_pass();
  void take_counted(const std::vector<LoggedEntry>& counted);
  void check_ticks(const Facts& facts);
  void check_directory(const Facts& facts);
  void fork(std::string detail);
  const LoggedEntry* known(std::uint64_t n) const;
  std::uint64_t known_n() const { return entries_.size() + fresh_.size(); }
  bool log_shows_all() const { return topic_.whole() && log_n_ == known_n() && fresh_.empty(); }

  // ---- standing (membership.cc)
  Mode mode() const;
  Mode mode_of_stranger() const;
  std::optional<Mode> misfit() const;
  bool was_ours(Incarnation incarnation) const;
  void set_standing(Mode mode, const Facts& facts, MembershipStep& out);
  std::string find_trouble() const;
  Nanoseconds idle(const Facts& facts) const;

  // ---- writing (membership_writing.cc)
  void rebuild(const Facts& facts);
  void write(const std::optional<MembersEntry>& wanted, const Facts& facts);
  void compose(MembersEntry entry, const Facts& facts);
  void give_rows(MembershipStep& out);
  bool may_write(std::optional<Incarnation> concerned, const Facts& facts);
  bool may_send(const MembersEntry& entry, const Facts& facts);
  void note_agreed(MembershipStep& out);
  bool agreed(std::optional<Incarnation> concerned, const Facts& facts);
  bool an_active_member_agrees(std::optional<Incarnation> concerned, const Facts& facts) const;
  std::vector<Incarnation> disagreeing(const Facts& facts);
  bool nothing_was_ever_written(const Facts& facts);

  // ---- what this node wants to write, and what it waits for (membership_joining.cc)
  std::optional<MembersEntry> wanted(Mode mode, const Facts& facts, MembershipStep& out);
  MembersEntry draft(EntryKind kind) const;
  std::optional<MembersEntry> wants_found(const Facts& facts);
  std::optional<MembersEntry> wants_join(const Facts& facts);
  std::optional<MembersEntry> wants_active(const Facts& facts, MembershipStep& out);
  std::optional<MembersEntry> wants_update() const;

  // ---- ends (membership_ends.cc): words about ended journals, eviction, leaving, rejoining
  std::optional<MembersEntry> wanted_by_member(const Facts& facts, MembershipStep& out);
  std::optional<MembersEntry> wants_word(const Journal& ended, const Facts& facts, MembershipStep& out);
  std::optional<MembersEntry> wants_new_word(const Journal& ended, Seq word, Seq end, const Facts& facts,
                                             MembershipStep& out);
  void look_for_holes(const Facts& facts, MembershipStep& out);
  std::optional<MembersEntry> wants_rejoin(const Facts& facts);
  std::optional<MembersEntry> wants_leave(const Facts& facts);
  std::optional<MembersEntry> wants_evict();
  bool drained(const Facts& facts);
  void choose_next();
  void start_over_as_next(const Facts& facts);
  bool silent_long_enough(Incarnation current, const Facts& facts);
  void prefer_own_region(std::vector<Journal>& sources) const;
  void choose_snapshot(const Facts& facts, MembershipStep& out);
  bool has_snapshot_for_us(const PeerMembers& answer) const;
  std::string why_start_over(const Facts& facts, MembershipStep& out);
  struct Lacking {
    Journal journal;
    Seq has;  // of it
    std::string text;
  };
  std::optional<Lacking> what_is_lacking(const Facts& facts) const;
  std::string not_ready(const Facts& facts, MembershipStep& out);
  bool read_to_end(const NodeName& journal, SteadyNs since, bool from_start, const Facts& facts,
                   MembershipStep& out) const;

  const MembershipConfig config_;
  MembershipIdentity identity_;
  Random& random_;
  Log& log_;
  MembersTopic topic_;
  PeerAnswers answers_;

  MembersTable table_;  // of entries_: durable, and only this is acted on
  std::vector<LoggedEntry> entries_;
  std::vector<LoggedEntry> fresh_;  // counted, not durable yet
  std::size_t fresh_given_ = 0;     // as of the newest step

  struct OwnEntry {
    LoggedEntry logged;
    bool given = false;  // to be persisted, with the newest step
    bool durable = false;
  };
  std::optional<OwnEntry> own_;     // until an entry stands at its n
  std::optional<EntryKind> wants_;  // the kind wanted as of the newest step,
  std::uint64_t fresh_pass_ = 0;    // and the pass that was asked for when it began to be

  bool read_once_ = false;   // the log has been read whole, since this start
  std::uint64_t log_n_ = 0;  // entries that the newest whole pass counts
  bool soon_ = false;        // a pass was asked for from outside
  std::uint64_t stepped_n_ = 0;
  bool lost_ = false;
  store::AgreedEntry agreed_;  // as kept
  store::AgreedEntry newest_in_log_;
  std::string found_lost_;  // in words, when it was seen first
  std::vector<Incarnation> waits_for_;
  std::optional<Seq> barrier_;  // a tick of ours, journalled after the log was whole again
  std::string wrong_cluster_;   // why, as of the newest pass
  struct Halt {
    Mode mode;
    std::string detail;
  };
  std::optional<Halt> halt_;  // for good: until the next start
  std::optional<std::string> start_over_;
  bool rolled_back_ = false;

  std::unique_ptr<Pending<std::vector<TopicInfo>>> survey_;
  std::optional<SteadyNs> survey_asked_;
  std::optional<SteadyNs> surveyed_at_;  // the newest answer, by when it was asked for
  std::string not_empty_;                // the topic that forbids founding

  std::optional<SnapshotFrom> source_;
  std::map<Journal, SteadyNs> source_failed_;
  std::string snapshot_trouble_;
  bool snapshot_offered_ = false;
  SteadyNs stepped_at_;
  std::map<Incarnation, SteadyNs> word_since_;  // when a word about it was first wanted
  struct Unsettled {  // an ended journal of which we lack something: since when, with this word and this end
    Seq word;
    Seq end;
    SteadyNs since;
  };
  std::map<Incarnation, Unsettled> unsettled_;
  struct Hole {
    Seq missing;
    SteadyNs since;
  };
  std::map<Journal, Hole> holes_;  // gaps that their writers can no longer fill
  std::string hole_;               // what this member lacks and nothing will bring; empty = nothing
  std::string rejoins_because_;    // the same with a colon, while it ends itself for that
  std::vector<Journal> evictions_;
  bool leaving_ = false;
  bool wants_rejoin_ = false;         // an operator's order
  std::optional<Seq> drain_to_;       // own commits up to it must be at all others first
  std::optional<SteadyNs> met_name_;  // when a stranger first saw that its name has a living incarnation
  bool name_lives_ = false;
  std::optional<Lacking> lacking_;       // by a joiner: a gap, or less than is asked for,
  SteadyNs lacking_since_;               // with no change since then
  std::optional<SteadyNs> last_chance_;  // the log is read from its start once more, before starting over

  Standing standing_;
  std::string detail_;  // of the running step
  std::string trouble_;
};

}  // namespace refrain::replication
