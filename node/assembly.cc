// SPDX-License-Identifier: Apache-2.0
#include "node/assembly.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/writes.h"
#include "store/meta.h"

namespace refrain::node {
namespace {

constexpr Milliseconds kReopenEvery{1'000};
constexpr Milliseconds kLookAtDiskEvery{1'000};
constexpr Milliseconds kLongestSleep{100};
// Above the engine's reserve: so that calls are refused at the door before a batch meets it.
constexpr std::uint64_t kDiskMarginBytes = 4ULL << 20;

Error draining() {
  Error error = unavailable(
      "draining", "The node is shutting down. Ask another one, or this one again after its restart.");
  error.retry_after_ms = 1'000;
  return error;
}

Result<store::Identity> birth(const Config& config, Random& random) {
  store::Identity identity;
  identity.node = config.node.name;
  identity.incarnation = {random.next() | 1};
  identity.standalone = config.alone();
  if (config.alone()) identity.cluster = {static_cast<std::uint32_t>(random.next() | 1)};
  return identity;
}

/// The identity in the store; of an empty store, a new one, stored before anything else.
Result<store::Identity> identity_of(store::Engine& engine, const Config& config, Random& random) {
  auto known = store::Meta::identity(engine);
  if (!known) return known.error();
  if (*known) {
    if ((*known)->node == config.node.name) return **known;
    return invalid("invalid", fmt::format("The data directory belongs to node '{}', not to '{}'. Give this "
                                          "node its own directory (node.data_dir).",
                                          (*known)->node, config.node.name));
  }
  auto identity = birth(config, random);
  store::Draft draft(engine);
  store::Meta::set_identity(draft, *identity);
  if (auto written = engine.write(draft.take(), store::Durability::kSynced); !written) return written.error();
  return identity;
}

CommitAnswer with_acknowledgement(CommitAnswer answer, const Acknowledged& acknowledged) {
  answer.state = acknowledged.state;
  answer.applied_by = acknowledged.applied_by;
  answer.waiting_for = acknowledged.waiting_for;
  answer.timed_out = acknowledged.timed_out;
  return answer;
}

}  // namespace

Node::Node(Config config, World world, Start start)
    : config_(std::move(config)),
      world_(std::move(world)),
      start_(std::move(start)),
      limits_{config_.limits.key_bytes, config_.limits.value_bytes, config_.limits.commit_bytes,
              config_.limits.response_bytes},
      mailbox_(config_.limits.queued_commits, world_.wake),
      rates_(config_.limits.rate),
      now_{world_.clock->wall(), world_.clock->steady()} {}

Node::~Node() {
  std::unique_lock lock(engine_mutex_);
  take_cuts_away();
}

Result<std::unique_ptr<Node>> Node::open(Config config, World world, Start start) {
  std::unique_ptr<Node> node(new Node(std::move(config), std::move(world), std::move(start)));
  if (auto opened = node->open_life(); !opened) {
    if (opened.error().slug != "disk_full") return opened.error();
    node->store_trouble_ = opened.error();  // it opens once there is room; no supervisor need start it again
  }
  node->look_at_disk(node->now_);
  node->publish_views(node->now_);
  return node;
}

// ---- the table of contents: what lives as long as an opened engine, and what a step does

Result<void> Node::open_life() {
  auto engine = world_.open_engine();
  if (!engine) return engine.error();
  auto identity = identity_of(**engine, config_, *world_.random);
  if (!identity) return identity.error();
  Life life;
  life.engine = std::move(*engine);
  auto news = std::make_shared<RequestNews>();
  auto ledger = Ledger::load(*life.engine, config_, request_apply(news));
  if (!ledger) return ledger.error();
  life.ledger = std::move(*ledger);
  auto replicator = Replicator::open(config_, world_, start_, *life.ledger, now_);
  if (!replicator) return replicator.error();
  life.replicator = std::move(*replicator);
  life.acknowledger = std::make_unique<Acknowledger>(answers_, acks_, *life.ledger, *life.replicator);
  auto desk = RequestDesk::open(
      {config_, *world_.random, *life.ledger, *life.replicator, *life.acknowledger, answers_, rates_, news},
      now_);
  if (!desk) return desk.error();
  life.desk = std::move(*desk);
  std::unique_lock lock(engine_mutex_);
  life_ = std::move(life);
  return {};
}

Nanoseconds Node::step() {
  now_ = {world_.clock->wall(), world_.clock->steady()};
  mailbox_.drain(tasks_);
  look_at_disk(now_);
  if (!life_) try_new_life(now_);
  if (!life_) {
    for (Task& task : tasks_) task();  // each is refused
    sessions_.settle([](const Vector&) { return false; },
                     draining_.load() ? SteadyNs{INT64_MAX} : now_.steady);
    publish_views(now_);
    return idle_time(now_);
  }
  Ledger& ledger = *life_->ledger;
  ledger.start(now_.wall);
  // On a full disk nothing could be written of what is read: it waits in the log.
  if (!disk_full_) {
    life_->replicator->read(now_);
    life_->desk->start(now_);
  }
  for (Task& task : tasks_) task();
  if (life_->desk->waiting() > 0) {  // who waits is refused like who asks now
    if (auto refused = refusal(now_)) life_->desk->abandon(*refused);
  }
  life_->desk->wake_waiters(now_);
  if (!disk_full_) {
    life_->replicator->journal_tick(now_);
    if (auto expired = ledger.expire_conflicts(); !expired)
      world_.say(LogLevel::kError, expired.error().detail);
  }
  show_what_comes();
  Result<void> written = ledger.write();
  note_write(written);
  answers_.give(written);
  if (ledger.must_reload()) {
    end_life(written.error());
  } else {
    if (written) {
      life_->desk->written();
      life_->replicator->written(now_, ledger.take_new_commits());
    } else {
      life_->desk->not_written();
      life_->replicator->not_written();
    }
    settle(now_);
  }
  publish_views(now_);
  return idle_time(now_);
}

void Node::show_what_comes() {
  if (life_->ledger->draft().empty()) return;
  Vector seen = life_->replicator->applied();
  std::lock_guard lock(views_mutex_);
  seen_view_ = std::move(seen);
}

void Node::note_write(const Result<void>& written) {
  bool full = !written && written.error().slug == "disk_full";
  if (!full) {
    write_trouble_ = written ? std::nullopt : std::optional(written.error());
    return;
  }
  disk_looked_at_.reset();  // sooner than the next look
  checked_at_.reset();
  look_at_disk(now_);
}

void Node::settle(const Moment& now) {
  acks_.settle(life_->replicator->progress());
  acks_.expire(now.steady);
  orders_.settle([this](const MemberOrder& order) { return life_->replicator->look(order); },
                 draining_.load() ? SteadyNs{INT64_MAX} : now.steady);
  bool last_time = draining_.load();
  if (last_time) acks_.clear();
  const Replicator& replicator = *life_->replicator;
  sessions_.settle([&](const Vector& wanted) { return replicator.covers(wanted); },
                   last_time ? SteadyNs{INT64_MAX} : now.steady);
}

Nanoseconds Node::idle_time(const Moment& now) const {
  if (!mailbox_.empty()) return Nanoseconds{0};
  Nanoseconds idle = kLongestSleep;
  auto until = [&](std::optional<SteadyNs> due) {
    if (due) idle = std::clamp(*due - now.steady, Nanoseconds{0}, idle);
  };
  until(acks_.next_deadline());
  until(orders_.next_deadline());
  if (life_ && !disk_full_) {  // on a full disk nothing of theirs is done
    if (life_->replicator->has_more()) return Nanoseconds{0};
    until(life_->replicator->wakes_at());
    until(life_->desk->wakes_at());
  }
  if (sessions_.size() > 0) idle = std::min<Nanoseconds>(idle, Milliseconds{5});
  return idle;
}

// ---- an engine that failed, a disk that is full

void Node::end_life(const Error& reason) {
  world_.say(LogLevel::kError,
             fmt::format("Writing failed; the store is closed and opened again: {}", reason.detail));
  store_trouble_ = reason;
  retry_open_at_ = now_.steady + kReopenEvery;
  acks_.clear();  // their commits are durable; how far they came is no longer known here
  // Who waited was given nothing, whatever became of the batch.
  life_->desk->abandon(
      unavailable("store_failed", fmt::format("The store of this node failed. {} It is opened "
                                              "again by itself.",
                                              reason.detail)));
  answers_.give(Error(reason));
  std::unique_lock lock(engine_mutex_);
  take_cuts_away();
  life_.reset();
}

void Node::try_new_life(const Moment& now) {
  if (now.steady < retry_open_at_) return;
  retry_open_at_ = now.steady + kReopenEvery;
  auto opened = open_life();
  if (!opened) {
    store_trouble_ = opened.error();
    return;
  }
  store_trouble_.reset();
  world_.say(LogLevel::kInfo, "The store is open again; writes go on.");
}

void Node::look_at_disk(const Moment& now) {
  if (disk_looked_at_ && now.steady - *disk_looked_at_ < kLookAtDiskEvery) return;
  disk_looked_at_ = now.steady;
  if (life_) {
    disk_ = life_->engine->stats();
    life_->engine->set_now(life_->ledger->now());
  }
  if (!life_ && world_.disk_free_bytes) disk_.disk_free_bytes = world_.disk_free_bytes();
  bool full =
      disk_.disk_total_bytes > 0 && disk_.disk_free_bytes < disk_.disk_reserve_bytes + kDiskMarginBytes;
  if (full != disk_full_) {
    world_.say(full ? LogLevel::kError : LogLevel::kInfo,
               full ? "The disk is full: writes are refused until there is space."
                    : "There is space on the disk again: writes go on.");
  }
  disk_full_ = full;
}

std::optional<Error> Node::refusal(const Moment& now) const {
  auto later = [](std::string slug, std::string detail, std::int64_t retry_after_ms) {
    Error error = unavailable(std::move(slug), std::move(detail));
    error.retry_after_ms = retry_after_ms;
    return error;
  };
  if (draining_.load()) return draining();
  if (disk_full_)
    return later(
        "disk_full",
        fmt::format("The disk of this node is full ({} MiB left, {} are kept in reserve). Nothing was "
                    "written. Free space; writes go on by themselves.",
                    disk_.disk_free_bytes >> 20, disk_.disk_reserve_bytes >> 20),
        5'000);
  if (!life_)
    return later(
        "store_failed",
        fmt::format("The store of this node failed. {} It is opened again by itself; look at its log.",
                    store_trouble_ ? store_trouble_->detail : "It is being opened."),
        1'000);
  if (auto refused = life_->replicator->refusal(now)) return refused;
  if (!life_->ledger->clock().can_mint(now.wall)) return life_->ledger->mint().error();
  return std::nullopt;
}

// ---- calls

void Node::commit(CommitCall call, Done<CommitAnswer> caller) {
  post(std::move(caller), [this, call = std::move(call)](Done<CommitAnswer> done) mutable {
    do_commit(std::move(call), std::move(done));
  });
}

void Node::do_commit(CommitCall call, Done<CommitAnswer> done) {
  if (auto refused = refusal(now_)) return done(*refused);
  if (auto checked = check_writes(call.writes, config_.limits); !checked) return done(checked.error());
  if (auto checked = life_->replicator->check_ack(call.ack); !checked) return done(checked.error());
  if (call.idempotency_key) return life_->desk->commit_once(std::move(call), std::move(done));
  if (auto taken = rates_.take(call.writes, now_.steady); !taken) return done(taken.error());
  Ledger& ledger = *life_->ledger;
  auto prepared = prepare_writes(ledger.draft(), config_.node.name, ledger.now(), call.writes);
  if (!prepared) {  // it may rest on what the running batch holds
    return answers_.after_write(
        [error = prepared.error(), done = std::move(done)](const Result<void>& written) {
          done(written ? error : Acknowledger::uncertain(written.error()));
        });
  }
  auto hlc = ledger.mint();
  if (!hlc) return done(hlc.error());
  auto id = ledger.append(*hlc, std::move(prepared->operations), call.ack.wants_tick());
  if (!id) return done(id.error());
  CommitAnswer answer;
  answer.existed = std::move(prepared->existed);
  answer.session = std::move(call.session);
  answer.session[config_.node.name] = *hlc;
  answer.commit = *id;
  answer.version = {*hlc, config_.node.name};
  life_->acknowledger->when_done(
      *id, call.ack, now_,
      [answer = std::move(answer), done = std::move(done)](Result<Acknowledged> acknowledged) mutable {
        if (!acknowledged) return done(acknowledged.error());
        done(with_acknowledgement(std::move(answer), *acknowledged));
      });
}

void Node::begin(BeginCall call, Done<BeginAnswer> caller) {
  post(std::move(caller), [this, call = std::move(call)](Done<BeginAnswer> done) mutable {
    if (auto refused = refusal(now_)) return done(*refused);
    life_->desk->begin(std::move(call), std::move(done));
  });
}

void Node::complete(CompleteCall call, Done<CompleteAnswer> caller) {
  post(std::move(caller), [this, call = std::move(call)](Done<CompleteAnswer> done) mutable {
    if (auto refused = refusal(now_)) return done(*refused);
    life_->desk->complete(std::move(call), std::move(done));
  });
}

void Node::execute(CompleteCall call, Done<CompleteAnswer> caller) {
  post(std::move(caller), [this, call = std::move(call)](Done<CompleteAnswer> done) mutable {
    if (auto refused = refusal(now_)) return done(*refused);
    life_->desk->execute(std::move(call), std::move(done));
  });
}

void Node::renew(RenewCall call, Done<RenewAnswer> caller) {
  post(std::move(caller), [this, call = std::move(call)](Done<RenewAnswer> done) mutable {
    if (auto refused = refusal(now_)) return done(*refused);
    life_->desk->renew(std::move(call), std::move(done));
  });
}

void Node::release(ReleaseCall call, Done<ReleaseAnswer> caller) {
  post(std::move(caller), [this, call = std::move(call)](Done<ReleaseAnswer> done) mutable {
    if (auto refused = refusal(now_)) return done(*refused);
    life_->desk->release(std::move(call), std::move(done));
  });
}

void Node::resolve(ResolveCall call, Done<CompleteAnswer> caller) {
  post(std::move(caller), [this, call = std::move(call)](Done<CompleteAnswer> done) mutable {
    if (auto refused = refusal(now_)) return done(*refused);
    life_->desk->resolve(std::move(call), std::move(done));
  });
}

void Node::resolve_conflict(ConflictResolveCall call, Done<CommitAnswer> done) {
  auto found = conflict(call.id);
  if (!found) return done(found.error());
  if (!*found)
    return done(not_found("There is no such conflict here. List them with `refrain conflicts ls`."));
  const ConflictReport& report = **found;
  if (!report.open)
    return done(refrain::conflict(
        "version_mismatch",
        "The conflict is closed: its key was written again since. Nothing is left to resolve."));
  const ConflictSide& chosen =
      call.choice == ConflictResolveCall::Choice::kLoser ? report.loser : report.winner;
  Write write{report.ns, report.key, call.value, std::nullopt, {report.winner.version, false}};
  bool given = call.choice == ConflictResolveCall::Choice::kValue;
  if (!given && call.choice != ConflictResolveCall::Choice::kDelete) {
    if (chosen.truncated)
      return done(invalid("invalid", "Only the beginning of that value was kept. Give the value to write."));
    write.value = chosen.value;
  }
  if (call.choice == ConflictResolveCall::Choice::kDelete || (!given && chosen.deleted)) write.value.reset();
  // A deleted winner has no visible version to match: the key must still be absent then.
  if (report.winner.deleted) write.condition = {std::nullopt, true};
  CommitCall commit_call;
  commit_call.writes.push_back(std::move(write));
  commit(std::move(commit_call), std::move(done));
}

void Node::await_session(Vector session, Milliseconds wait, Done<void> caller) {
  post(std::move(caller), [this, session = std::move(session), wait](Done<void> done) mutable {
    if (!life_)
      return done(
          unavailable("store_failed", "The store of this node failed and is opened again by itself. Retry."));
    if (auto refused = life_->replicator->reads_refusal()) return done(*refused);
    if (life_->replicator->covers(session)) {
      // What covers it may be in the running batch: readable only once that is written.
      answers_.after_write([done = std::move(done)](const Result<void>& written) {
        if (written) return done(written);
        done(unavailable("store_failed", "What the session has seen could not be written here. Retry."));
      });
      return;
    }
    std::string missing = life_->replicator->describe_missing(session);
    auto answer = [done = std::move(done), missing](bool covered) {
      if (covered) return done(Result<void>());
      done(refrain::conflict("stale",
                             fmt::format("This node has not applied yet what the session has seen: {}. Wait "
                                         "longer (wait=), or ask the node that was written to.",
                                         missing)));
    };
    if (wait.count() <= 0) return answer(false);
    if (sessions_.size() >= config_.http.max_waiters) return answer(false);
    sessions_.add(std::move(session), now_.steady + wait, std::move(answer));
  });
}

void Node::retry_events(Done<void> caller) {
  post(std::move(caller), [this](Done<void> done) {
    if (!life_)
      return done(
          unavailable("store_failed", "The store of this node failed and is opened again by itself. Retry."));
    life_->replicator->retry_now();
    done(Result<void>());
  });
}

void Node::resume_journal(NodeName node, std::optional<Offset> skip, Done<void> caller) {
  post(std::move(caller), [this, node = std::move(node), skip](Done<void> done) {
    if (!life_)
      return done(
          unavailable("store_failed", "The store of this node failed and is opened again by itself. Retry."));
    done(life_->replicator->resume(node, skip));
  });
}

}  // namespace refrain::node
