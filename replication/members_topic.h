// SPDX-License-Identifier: Apache-2.0
// The members log's topic: read whole again and again, and written to. There is no cursor: what a pass from
// the first record to the end counts is what the log says.
//
// One thread; nothing blocks. Nothing is kept: a crash costs a pass.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "replication/log.h"
#include "replication/members_replay.h"

namespace refrain::replication {

class MembersTopic {
 public:
  /// `reader`: the newest format of entries that the program reads.
  MembersTopic(Log& log, TopicSpec spec, Milliseconds reread, std::uint32_t reader);

  /// Ours, once it is known: for the passes that begin from now on.
  void set_cluster(std::optional<ClusterId> cluster) { cluster_ = cluster; }

  /// Reads and sends what there is. True when the pass has come to an end (again), or halted: look at pass().
  bool step(SteadyNs now);

  /// The running pass. It goes on behind the end, so that news come at once.
  const MembersReplay& pass() const { return pass_; }
  /// It stands at an end that it saw.
  bool whole() const { return complete_; }

  /// Begins a new pass with the next step, and gives its number.
  std::uint64_t read_again() { return asked_ = number_ + 1; }
  /// The running pass is that one or a later one, and stands at an end.
  bool whole_since(std::uint64_t pass) const { return complete_ && number_ >= pass; }
  /// When the running pass began.
  SteadyNs opened() const { return opened_; }

  /// Nothing is in flight, and it is not too soon after a failure.
  bool can_send(SteadyNs now) const;
  /// Sends these records in order, once. Then a new pass begins and shows what came of it: the caller sends
  /// again what is missing.
  void send(const std::vector<std::string_view>& records, SteadyNs now);
  /// A pass that began after everything sent was reported, or given up, stands at an end.
  bool shows_what_was_sent() const { return in_flight_ == 0 && whole_since(after_send_); }

  bool busy() const { return !complete_ || in_flight_ > 0; }
  SteadyNs next_pass() const { return opened_ + reread_; }
  /// Why it cannot be read or written; empty when it can.
  const std::string& trouble() const { return trouble_; }

 private:
  bool ensure(SteadyNs now);
  bool read(SteadyNs now);
  void open(SteadyNs now);
  void close(SteadyNs now, std::string why);
  void take_reports(SteadyNs now);
  void sent();
  void stop_sending(SteadyNs now, std::string why);

  Log& log_;
  const TopicSpec spec_;
  const Milliseconds reread_;
  const std::uint32_t reads_format_;
  std::optional<ClusterId> cluster_;

  bool ensured_ = false;
  std::unique_ptr<Pending<void>> ensuring_;
  SteadyNs not_before_;  // of the next try after a failure

  std::unique_ptr<Reader> reader_;
  MembersReplay pass_;
  SteadyNs opened_;
  std::uint64_t number_ = 0;  // of the running pass
  std::uint64_t asked_ = 1;
  bool complete_ = false;

  std::unique_ptr<Appender> appender_;
  std::size_t in_flight_ = 0;
  std::uint64_t after_send_ = 0;  // the pass that shows what came of the newest send
  SteadyNs sent_at_;
  SteadyNs send_not_before_;
  std::string trouble_;
};

}  // namespace refrain::replication
