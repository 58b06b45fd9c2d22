// SPDX-License-Identifier: Apache-2.0
// From "in the running batch" to "acknowledged": answers a writer once its commit is on disk and as far as
// its `ack` asks.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "node/acks.h"
#include "node/answers.h"
#include "node/node.h"
#include "node/replicator.h"

namespace refrain::node {

/// How far a commit came, at the moment of its answer.
struct Acknowledged {
  std::string state;
  std::vector<NodeName> applied_by;
  std::vector<NodeName> waiting_for;
  bool timed_out = false;
};

/// One thread.
class Acknowledger {
 public:
  Acknowledger(Answers& answers, AckTable& acks, const Ledger& ledger, const Replicator& replicator)
      : answers_(answers), acks_(acks), ledger_(ledger), replicator_(replicator) {}

  /// Of a commit in the running batch, or of an earlier one, ours or another node's. `call` gets an Error
  /// when the batch could not be written; it is called once, after the write.
  void when_done(const CommitId& id, const Ack& ack, const Moment& now,
                 std::function<void(Result<Acknowledged>)> call) {
    bool ours = Journal{id.node, id.incarnation} == ledger_.journal();
    answers_.after_write(
        [this, id, ack, now, ours, call = std::move(call)](const Result<void>& written) mutable {
          if (!written) return call(uncertain(written.error()));
          auto come = [this, id, ack, now, ours] { return reached(id, ack, now, ours); };
          if (come()) return call(look(id, ack, now, false));
          auto answer = [this, id, ack, now, call = std::move(call)](bool timed_out) {
            call(look(id, ack, now, timed_out));
          };
          SteadyNs deadline = now.steady + ack.timeout;
          ours ? acks_.add(id.seq, ack, deadline, std::move(answer))
               : acks_.add_other(std::move(come), deadline, std::move(answer));
        });
  }

  /// What a caller is told when its batch was not written.
  static Error uncertain(const Error& error) {
    if (error.code != Code::kUnknown) return error;
    return {Code::kUnknown, "write_uncertain",
            "The store failed while the write was on its way to the disk; it may have happened. Read before "
            "you repeat, or repeat with the same "
            "Idempotency-Key. (" +
                error.detail + ")"};
  }

 private:
  /// Another node's commit came here through Kafka: `log` is reached; the rest shows in ticks.
  bool reached(const CommitId& id, const Ack& ack, const Moment& now, bool ours) const {
    if (ours) return AckTable::reached(id.seq, ack, replicator_.progress());
    if (ack.kind == Ack::Kind::kLocal || ack.kind == Ack::Kind::kLog) return true;
    auto event = replicator_.event(id, now);
    if (!event) return true;  // of an incarnation that is forgotten: everyone has it
    if (ack.kind == Ack::Kind::kAll) return event->waiting_for.empty();
    return std::find(event->applied_by.begin(), event->applied_by.end(), ack.node) != event->applied_by.end();
  }

  Acknowledged look(const CommitId& id, const Ack& ack, const Moment& now, bool timed_out) const {
    Acknowledged done;
    done.timed_out = timed_out;
    if (auto event = replicator_.event(id, now)) {
      done.state = event->state;
      done.applied_by = std::move(event->applied_by);
      done.waiting_for = std::move(event->waiting_for);
    }
    if (timed_out && ack.kind == Ack::Kind::kLog) done.waiting_for.insert(done.waiting_for.begin(), "log");
    return done;
  }

  Answers& answers_;
  AckTable& acks_;
  const Ledger& ledger_;
  const Replicator& replicator_;
};

}  // namespace refrain::node
