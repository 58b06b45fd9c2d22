// SPDX-License-Identifier: Apache-2.0
// Reads one node's topic and says, record by record, what is to be done (journal_decision.h). It changes no
// store: the node does what the events say and stores the cursor in the same batch.
//
// The node's store is the only truth between two polls: everything that one poll() gave must be applied
// before the next, or rewind() called. Nothing here blocks or throws; one thread; memory is bounded by what
// one poll may give and by the crcs of the newest 10,000 applied records of each incarnation. After a crash
// the stored cursor is enough: what stood parked is read again and parks again.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "replication/codec.h"
#include "replication/journal_decision.h"
#include "replication/log.h"
#include "store/meta.h"
#include "store/operations.h"

namespace refrain::replication {

using StoredCursor = store::ReadCursor;

/// Only of the reader of the node's own topic.
struct OwnFacts {
  Incarnation incarnation;
  Seq newest_at_start;  // of the directory when it was opened
  Seq newest;           // synced by now
  Seq published;
  /// crc of our own commit, as crc_of() gives it; none when it is no longer in the outbox.
  std::function<std::optional<std::uint32_t>(Seq)> crc;
};

struct PollFacts {
  SteadyNs now;
  ReaderFacts here;
  std::function<IncarnationFacts(const Journal&)> incarnation;
  std::optional<OwnFacts> own;                // none: the topic of another node
  std::uint32_t reads_format = kFormats.max;  // what is written for newer readers parks
};

// ---- what poll() gives, in order

/// The next commit of its journal.
struct ApplyEvent {
  store::Commit commit;
  Offset offset;
  std::size_t bytes = 0;
};
/// A tick behind a gap: only this may be believed of it.
struct GapTickEvent {
  Journal journal;
  Seq seq;
  std::map<Journal, Seq> gaps;
  Seq lowest_kept;
};
/// A record of an incarnation that may not write, as far as we have read the members log: read that log.
/// Given again with each poll until it is known. Of our own topic: another incarnation under our name may be
/// the reason.
struct ReadMembersEvent {
  Journal journal;
};
struct ParkedEvent {};  // see parked()
struct UnparkedEvent {};
/// Read again from the log's start, and why.
struct RewoundEvent {
  std::string reason;
};
/// Own topic, with the poll that met its end: a reader of it has our own commits up to this one, which is
/// more than was known as published.
struct FoundOwnEvent {
  Seq up_to;
};
/// Own topic: it holds what our directory does not. Nothing of this directory may be published any more.
struct RolledBackEvent {
  Seq seq;
  Hlc hlc;
};
/// To be stored, in the batch with what was applied. Last of a poll that moved.
struct PositionEvent {
  StoredCursor cursor;
};
using JournalEvent = std::variant<ApplyEvent, GapTickEvent, ReadMembersEvent, ParkedEvent, UnparkedEvent,
                                  RewoundEvent, FoundOwnEvent, RolledBackEvent, PositionEvent>;

struct Parked {
  ParkReason reason = ParkReason::kCorrupt;
  std::optional<Journal> journal;  // none when the record cannot be read
  Seq first_affected;              // 0 when the record cannot be read
  Offset offset;
  WallMs since;
  std::string detail;
  std::string help;  // the command that helps
};

struct JournalCounts {
  std::uint64_t applied = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t behind_gap = 0;
  std::uint64_t beyond_end = 0;
  std::uint64_t skipped = 0;  // by an operator
  std::uint64_t rewound = 0;
};

class JournalReader {
 public:
  /// Reads `topic`, which holds the journals of `node`, from `cursor` on; none = from the log's start. `log`
  /// outlives it.
  JournalReader(Log& log, std::string topic, NodeName node, std::optional<StoredCursor> cursor);

  /// Reads and decides until `max_records` were looked at or the commits to apply hold `max_bytes`. Gives
  /// nothing past a record that parks, or that needs the members log first.
  std::vector<JournalEvent> poll(std::size_t max_records, std::size_t max_bytes, const PollFacts& facts);

  /// Forgets what was read and reads from `cursor` on: when what a poll gave was not written, or when the
  /// journal is to be read again (none = from the log's start).
  void rewind(std::optional<StoredCursor> cursor);

  /// An operator's word: reads the parked record again. With `skip`, which must be its offset, passes over
  /// it. kNotFound when nothing is parked; kInvalid when it is parked elsewhere.
  Result<void> resume(std::optional<Offset> skip);

  /// The record at `offset` could not be applied: it parks, with this reason, also when it is read again.
  void refuse(Offset offset, const Error& why);

  const NodeName& node() const { return node_; }
  const std::optional<Parked>& parked() const { return parked_; }
  /// First missing seq of each incarnation behind a gap, for our ticks.
  const std::map<Journal, Seq>& gaps() const { return gaps_; }
  /// Up to where each ended incarnation was met without a gap since the reader was opened or rewound, beyond
  /// what may be applied.
  const std::map<Journal, Seq>& readable() const { return readable_; }
  /// Everything that was in the topic at some moment since it was opened has been looked at, and nothing came
  /// since.
  bool at_end() const { return at_end_; }
  /// Everything that was read is applied; nothing stands behind a gap.
  bool whole() const { return behind_gap_.empty(); }
  /// The newest poll looked at as much as it might: there may be more to be had at once.
  bool stopped_at_limit() const { return stopped_at_limit_; }
  /// It has been at the end since it was constructed or rewound.
  bool has_been_at_end() const { return has_been_at_end_; }
  /// The topic was not there when it was looked for last.
  bool topic_missing() const { return topic_missing_; }
  /// The cursor that was given last.
  const std::optional<StoredCursor>& position() const { return position_; }
  /// Why nothing can be read for now; none when it can.
  const std::optional<std::string>& unreachable() const { return unreachable_; }
  const JournalCounts& counts() const { return counts_; }

 private:
  // The crcs of the newest applied records of one incarnation, by seq.
  class AppliedCrcs {
   public:
    void add(Seq seq, std::uint32_t crc);
    std::optional<std::uint32_t> find(Seq seq) const;

   private:
    static constexpr std::size_t kKept = 10'000;
    struct Entry {
      Seq seq;
      std::uint32_t crc = 0;
    };
    std::vector<Entry> entries_;  // by seq modulo kKept
  };
  enum class Next : std::uint8_t { kGoOn, kStop };
  struct Decoded {
    store::Commit commit;
    RecordFacts facts;
    Offset offset;
    std::size_t bytes = 0;
  };

  void begin_poll(const PollFacts& facts);
  std::vector<JournalEvent> end_poll(const PollFacts& facts);
  void check_kafka_cluster(const PollFacts& facts);
  bool must_wait(const PollFacts& facts) const;
  bool fetch(std::size_t max, const PollFacts& facts);
  void open(std::optional<Offset> from);
  void forget_fetched();
  void lose_cursor(const std::string& reason, const PollFacts& facts);

  Next take(const ReadEvent& event, const PollFacts& facts);
  Next take_record(const Record& record, const PollFacts& facts);
  Next take_decoded(Decoded& record, const PollFacts& facts);
  Next take_own(const Decoded& record, const PollFacts& facts);
  void count_own(Seq seq, Seq published);
  void apply(Decoded& record, IncarnationFacts& incarnation);
  void note_readable(const Journal& journal, Seq seq, Seq applied);
  void flag_gap(const store::Commit& commit, Seq applied, Offset at);
  void forget_closed_gaps(const PollFacts& facts);
  IncarnationFacts& facts_of(const Journal& journal, const PollFacts& facts);
  Next park(Parked parked);
  Next park_record(ParkReason reason, const Decoded& record, const PollFacts& facts);
  void unpark();
  Next pass(Offset offset);

  Log& log_;
  const std::string topic_;
  const NodeName node_;

  std::unique_ptr<Reader> reader_;
  std::string kafka_cluster_id_;       // in which the cursor means something
  std::optional<SteadyNs> reopen_at_;  // a topic that is not there is not asked for all the time
  bool topic_missing_ = false;
  bool was_there_ = false;          // the topic, since the reader was opened
  std::vector<ReadEvent> fetched_;  // what was read and is not decided yet is from fetched_at_ on
  std::size_t fetched_at_ = 0;
  std::optional<Offset> next_;  // the record to be decided next
  std::optional<StoredCursor> position_;
  bool at_end_ = false;
  bool has_been_at_end_ = false;
  std::optional<std::string> unreachable_;

  std::optional<Parked> parked_;
  std::optional<Hlc> waits_for_;  // the wall to catch up with this
  bool resumed_ = false;
  std::optional<Offset> skip_;
  std::map<Journal, Seq> gaps_;
  std::map<Journal, Seq> readable_;
  // Records behind a gap that were read and not applied. The position given stays at the first of them until
  // all are applied, so that a restart meets them again.
  struct BehindGap {
    Offset first;
    Seq highest;
  };
  std::map<Journal, BehindGap> behind_gap_;
  struct Refused {
    Offset offset;
    ParkReason reason = ParkReason::kCorrupt;
    std::string detail;
  };
  std::optional<Refused> refused_;
  bool stopped_at_limit_ = false;
  std::map<Journal, AppliedCrcs> crcs_;
  std::optional<Seq> own_found_;  // until the end is met: what readers have of our own commits
  bool rolled_back_ = false;
  JournalCounts counts_;

  // Of the poll that runs:
  bool was_at_end_ = false;  // has_been_at_end_ before it
  std::map<Journal, IncarnationFacts>
      incarnations_;  // with what was given to apply, which the store does not show yet
  std::size_t given_bytes_ = 0;
  std::vector<JournalEvent> events_;
};

/// Of a record's bytes: tells whether the same seq carries the same commit. (The record's own checksum.)
std::uint32_t crc_of(std::string_view record_bytes);

}  // namespace refrain::replication
