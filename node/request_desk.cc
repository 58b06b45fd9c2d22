// SPDX-License-Identifier: Apache-2.0
#include "node/request_desk.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/planted.h"
#include "base/text.h"
#include "idempotency/apply.h"
#include "idempotency/http_key.h"
#include "idempotency/report.h"
#include "idempotency/row.h"
#include "node/writes.h"

namespace refrain::node {
namespace {

constexpr Milliseconds kSweepEvery{500};
constexpr std::size_t kSweepMost = 500;
constexpr Milliseconds kAskAgain{50};

std::optional<idempotency::Response> to_response(const std::optional<StoredResponse>& response) {
  if (!response) return std::nullopt;
  return idempotency::Response{response->status, response->content_type, response->body};
}

std::vector<idempotency::Effect> to_effects(const std::vector<Write>& writes) {
  std::vector<idempotency::Effect> effects;
  effects.reserve(writes.size());
  for (const Write& write : writes) {
    effects.push_back({write.ns, write.key, write.value, write.ttl, write.condition.if_match,
                       write.condition.if_none_match});
  }
  return effects;
}

idempotency::Completion to_completion(const CompleteCall& call) {
  return {to_response(call.response), call.too_large, to_effects(call.writes), call.response_ttl,
          call.seen_ttl};
}

void append_all(std::vector<store::Operation>& to, std::vector<store::Operation> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

Ledger::RequestApply request_apply(std::shared_ptr<RequestNews> news) {
  return [news = std::move(news)](store::Draft& draft, const store::Operation& operation,
                                  const store::Commit& commit, WallMs) -> Result<void> {
    Result<idempotency::NewDuplicates> found = idempotency::NewDuplicates{};
    if (const auto* claim = std::get_if<store::ClaimOp>(&operation)) {
      news->changed.push_back({claim->ns, claim->id});
      found = idempotency::apply(draft, *claim, commit);
    } else if (const auto* outcome = std::get_if<store::OutcomeOp>(&operation)) {
      news->changed.push_back({outcome->ns, outcome->id});
      found = idempotency::apply(draft, *outcome, commit);
    } else if (const auto* duplicate = std::get_if<store::DuplicateOp>(&operation)) {
      found = idempotency::apply(draft, *duplicate, commit);
    }
    if (!found) return found.error();
    news->duplicates += found->certain;
    news->duplicates_possible += found->possible;
    return {};
  };
}

Result<std::unique_ptr<RequestDesk>> RequestDesk::open(DeskParts parts, const Moment& now) {
  std::unique_ptr<RequestDesk> desk(new RequestDesk(std::move(parts)));
  if (auto counted = desk->count_duplicates(); !counted) return counted.error();
  desk->look_at_regions(now);
  return desk;
}

// ---- the step

void RequestDesk::start(const Moment& now) {
  now_ = now;
  if (counted_load_ != parts_.ledger.loads()) {  // a snapshot came in
    if (auto counted = count_duplicates(); !counted) return parts_.ledger.break_batch(counted.error());
  }
  look_at_regions(now);
  sweep(now);
}

Result<void> RequestDesk::count_duplicates() {
  auto counted = store::count_duplicates(parts_.ledger.engine());
  if (!counted) return counted.error();
  duplicates_ = *counted;
  counted_load_ = parts_.ledger.loads();
  return {};
}

/// As old as conflicts may become.
void RequestDesk::expire_duplicates() {
  WallMs before = parts_.ledger.now() - parts_.config.conflicts.max_age;
  auto dropped = store::drop_duplicates(parts_.ledger.draft(), before, kSweepMost);
  if (!dropped) return parts_.ledger.break_batch(dropped.error());
  dropping_ = *dropped;
}

void RequestDesk::look_at_regions(const Moment& now) {
  now_ = now;
  regions_ = parts_.replicator.region_facts(now);
  idempotency::Peers peers;
  for (const auto& [node, hlc] : regions_.applied) {
    if (node == parts_.config.node.name) continue;
    // Whose incarnation is over says nothing more, either.
    bool silent = regions_.silent_or_parked.contains(node) || regions_.over.contains(node);
    peers[node] = {hlc, silent, parts_.replicator.address_of(node).value_or("")};
  }
  Incarnation incarnation = parts_.ledger.identity().incarnation;
  if (peers_.size() == peers.size() && others_->incarnation == incarnation &&
      std::equal(peers.begin(), peers.end(), peers_.begin(), [](const auto& a, const auto& b) {
        return a.first == b.first && a.second.applied == b.second.applied &&
               a.second.silent == b.second.silent && a.second.address == b.second.address;
      })) {
    return;
  }
  peers_ = std::move(peers);
  auto view = std::make_shared<const Others>(Others{peers_, incarnation});
  std::lock_guard lock(others_mutex_);
  others_ = std::move(view);
}

void RequestDesk::wake_waiters(const Moment& now) {
  wakes_at_.reset();
  if (waiters_.size() == 0 && unfresh_.empty()) {
    parts_.news->changed.clear();
    return;
  }
  for (auto it = unfresh_.begin(); it != unfresh_.end();) {
    bool covered = parts_.replicator.covers(it->begin.call.session);
    if (!covered && it->deadline > now.steady && !it->begin.gone()) {
      ++it;
      continue;
    }
    Unfresh waited = std::move(*it);
    it = unfresh_.erase(it);
    if (waited.begin.gone()) continue;
    waited.begin.call.wait =
        std::max(Milliseconds{0}, std::chrono::duration_cast<Milliseconds>(waited.deadline - now.steady));
    begin(std::move(waited.begin.call), std::move(*waited.begin.done));
  }
  auto settle = [&](const store::RequestId& request) {
    waiters_.settle(request, [this](WaitingBegin& waiting, bool may_go) {
      return ask(waiting, may_go ? How::kMayWait : How::kMayNotGo);
    });
  };
  std::vector<store::RequestId> changed;
  changed.swap(parts_.news->changed);
  std::sort(changed.begin(), changed.end());
  changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  for (const store::RequestId& request : changed) settle(request);
  for (const store::RequestId& request : waiters_.due(parts_.ledger.now())) settle(request);
  for (auto& [request, waiting] : waiters_.take_expired(now.steady)) ask(waiting, How::kLastTime);
  parts_.news->changed.clear();  // what these goes changed wakes nobody
  if (waiters_.size() > 0 || !unfresh_.empty()) wakes_at_ = now.steady + kAskAgain;
}

void RequestDesk::written() {
  duplicates_.certain -= std::min(duplicates_.certain, dropping_.certain);
  duplicates_.possible -= std::min(duplicates_.possible, dropping_.possible);
  dropping_ = {};
  duplicates_.certain += parts_.news->duplicates;
  duplicates_.possible += parts_.news->duplicates_possible;
  parts_.news->duplicates = parts_.news->duplicates_possible = 0;
}

void RequestDesk::not_written() {
  dropping_ = {};
  parts_.news->duplicates = parts_.news->duplicates_possible = 0;
  parts_.news->changed.clear();
  waiters_.look_at_all_again();
}

void RequestDesk::abandon(const Error& error) {
  for (auto& [request, waiting] : waiters_.take_all()) (*waiting.done)(error);
  for (Unfresh& unfresh : unfresh_) (*unfresh.begin.done)(error);
  unfresh_.clear();
}

/// Walks the marks of open claims, a piece at a time: takes stale ones away and counts the others.
void RequestDesk::sweep(const Moment& now) {
  if (swept_at_ && now.steady - *swept_at_ < kSweepEvery) return;
  swept_at_ = now.steady;
  expire_duplicates();
  auto marks = store::list_open(parts_.ledger.engine(), swept_up_to_, kSweepMost);
  if (!marks) return parts_.ledger.break_batch(marks.error());
  WallMs time = parts_.ledger.now();
  for (const store::RequestId& request : *marks) {
    auto taken = idempotency::sweep_mark(parts_.ledger.draft(), request, time);
    if (!taken) return parts_.ledger.break_batch(taken.error());
    auto row = row_of(request.ns, request.id);
    if (!row) return parts_.ledger.break_batch(row.error());
    if (*taken || !*row) continue;
    idempotency::Here here{parts_.config.node.name, parts_.ledger.identity().incarnation, Hlc::of(time),
                           peers_, parts_.config.clock.max_drift};
    auto state = idempotency::standing(&**row, here).state;
    sweeping_.running += state == idempotency::State::kRunning;
    sweeping_.unknown += state == idempotency::State::kUnknown;
  }
  if (marks->size() == kSweepMost) {
    swept_up_to_ = marks->back();
    return;
  }
  open_ = std::exchange(sweeping_, {});
  swept_up_to_.reset();
}

// ---- what every call needs

idempotency::Terms RequestDesk::terms_of(const std::string& ns) const {
  if (ns.starts_with('_'))
    return {idempotency::http_rules(), parts_.config.limits.max_lease, parts_.config.limits.response_bytes};
  return {parts_.config.requests.of(ns), parts_.config.limits.max_lease, parts_.config.limits.response_bytes};
}

Result<idempotency::Here> RequestDesk::here() const {
  auto hlc = parts_.ledger.mint();
  if (!hlc) return hlc.error();
  return idempotency::Here{parts_.config.node.name, parts_.ledger.identity().incarnation, *hlc, peers_,
                           parts_.config.clock.max_drift};
}

Result<idempotency::Row> RequestDesk::row_of(const std::string& ns, const std::string& id) const {
  if (REFRAIN_PLANTED(two_waiters_go)) return store::get_request(parts_.ledger.engine(), ns, id);
  return store::get_request(parts_.ledger.draft(), ns, id);
}

idempotency::Freshness RequestDesk::freshness_of(const std::string& ns) const {
  idempotency::Freshness freshness;
  for (const auto& [node, lag] : regions_.lag_ms) freshness.lag = std::max(freshness.lag, Milliseconds{lag});
  // Who is read from steadily is waited for, however long it takes; only who can give nothing new is not.
  for (const NodeName& node : regions_.not_caught_up) {
    bool in_vain = regions_.silent_or_parked.contains(node) || regions_.awaited_in_vain.contains(node);
    bool given_up = regions_.catch_up_patience_over && in_vain;
    if (!given_up && !REFRAIN_PLANTED(go_before_catch_up)) freshness.catching_up.push_back(node);
    // Of our own journal a go says nothing while Kafka is away: the others' names say that.
    bool others_too = regions_.not_caught_up.size() > 1;
    if (given_up && !(node == parts_.config.node.name && others_too)) freshness.behind.push_back(node);
  }
  if (!ns.starts_with('_')) freshness.scope_differs = parts_.replicator.scope_differs(ns);
  return freshness;
}

/// The answer once the running batch is on disk: it may rest on what is in it.
template <class Answer>
void RequestDesk::answer_later(Result<Answer> answer, Done<Answer> done) {
  parts_.answers.after_write(
      [answer = std::move(answer), done = std::move(done)](const Result<void>& written) mutable {
        if (!written) return done(Acknowledger::uncertain(written.error()));
        done(std::move(answer));
      });
}

/// A refusal, with what it has to journal.
template <class Answer>
void RequestDesk::refuse(Error error, std::vector<store::Operation> operations, Hlc at, Done<Answer> done) {
  std::vector<store::Operation> news;
  for (store::Operation& operation : operations) {
    const auto* duplicate = std::get_if<store::DuplicateOp>(&operation);
    if (duplicate != nullptr && REFRAIN_PLANTED(refused_run_unlisted)) continue;
    if (duplicate != nullptr) {
      auto known = idempotency::is_known(parts_.ledger.draft(), duplicate->duplicate);
      if (!known) return done(known.error());
      if (*known) continue;
    }
    news.push_back(std::move(operation));
  }
  if (!news.empty()) {
    if (auto id = parts_.ledger.append(at, std::move(news), false); !id) return done(id.error());
  }
  answer_later<Answer>(std::move(error), std::move(done));
}

// ---- begin

void RequestDesk::begin(BeginCall call, Done<BeginAnswer> done) {
  WaitingBegin waiting{std::move(call), std::make_shared<Done<BeginAnswer>>(std::move(done))};
  if (REFRAIN_PLANTED(gone_caller_goes)) waiting.call.gone.reset();
  if (waiting.gone()) return (*waiting.done)(unavailable("timed_out", "The connection was closed."));
  SteadyNs deadline = now_.steady + waiting.call.wait;
  if (!parts_.replicator.covers(waiting.call.session) && !REFRAIN_PLANTED(session_ignored_by_begin)) {
    bool room = unfresh_.size() < parts_.config.http.max_waiters;
    if (waiting.call.wait.count() > 0 && room) {
      unfresh_.push_back({std::move(waiting), deadline});
      wakes_at_ = now_.steady + kAskAgain;
      return;
    }
    return (*waiting.done)(conflict(
        "stale",
        fmt::format(
            "This node has not applied yet what the session has seen: {}. Wait longer (wait=), or ask the "
            "node that was asked before.",
            parts_.replicator.describe_missing(waiting.call.session))));
  }
  store::RequestId request{waiting.call.ns, waiting.call.id};
  bool may_wait = waiting.call.wait.count() > 0;
  bool queued = may_wait && waiters_.waits_for(request);
  auto asked = ask(waiting, queued ? How::kMayNotGo : may_wait ? How::kMayWait : How::kLastTime);
  if (asked.kind != idempotency::Asked::Kind::kStillWaits) return;
  auto shared = waiting.done;
  if (auto added = waiters_.add(request, std::move(waiting), deadline, asked.look_again); !added)
    (*shared)(added.error());
}

/// Decides a begin.
idempotency::Asked RequestDesk::ask(WaitingBegin& waiting, How how) {
  using Kind = idempotency::Asked::Kind;
  const BeginCall& call = waiting.call;
  std::optional<std::string> scope;
  auto answered = [&](Error error) {
    error.scope = scope;
    answer_later<BeginAnswer>(std::move(error), std::move(*waiting.done));
    return idempotency::Asked{Kind::kAnswered, {}};
  };
  auto here = this->here();
  if (!here) return answered(here.error());
  auto row = row_of(call.ns, call.id);
  if (!row) return answered(row.error());
  scope = scope_of(call.ns, *row, here->now());
  idempotency::BeginCall asked{call.ns,        call.id,       call.fingerprint, call.lease,
                               call.on_expiry, call.seen_ttl, call.max_lag,     parts_.random.next()};
  auto decision = idempotency::begin(*row, asked, terms_of(call.ns), freshness_of(call.ns), *here);
  if (!decision.answer) {
    const Error& error = decision.answer.error();
    if (how == How::kLastTime || !idempotency::worth_waiting(error)) return answered(error);
    Milliseconds again = error.slug == "request_in_progress"
                             ? Milliseconds{error.retry_after_ms.value_or(kAskAgain.count())}
                             : kAskAgain;
    return {Kind::kStillWaits, parts_.ledger.now() + again};
  }
  if (auto* replay = std::get_if<idempotency::Replay>(&*decision.answer)) {
    give_replay(*scope, *replay, waiting);
    return {Kind::kAnswered, {}};
  }
  if (how == How::kMayNotGo) return {Kind::kStillWaits, parts_.ledger.now()};
  if (auto taken = parts_.rates.take(call.ns, now_.steady); !taken) return answered(taken.error());
  auto& go = std::get<idempotency::Go>(*decision.answer);
  WallMs lease_until = go.lease_until;
  give_go(std::move(go), std::move(decision.operations), here->at, waiting);
  return {Kind::kWent, lease_until};
}

void RequestDesk::give_go(idempotency::Go go, std::vector<store::Operation> operations, Hlc at,
                          WaitingBegin& waiting) {
  auto id = parts_.ledger.append(at, std::move(operations), false);
  if (!id) return answer_later<BeginAnswer>(id.error(), std::move(*waiting.done));
  BeginAnswer answer;
  answer.scope = idempotency::format_scope(go.scope);
  answer.go = BeginAnswer::Go{go.token,       go.fencing,   go.attempt,     go.lease,
                              go.lease_until, go.on_expiry, go.lag.count(), go.behind};
  answer.session = waiting.call.session;
  answer.session[parts_.config.node.name] = at;
  if (REFRAIN_PLANTED(go_before_written)) return (*waiting.done)(std::move(answer));
  answer_later<BeginAnswer>(std::move(answer), std::move(*waiting.done));
}

void RequestDesk::give_replay(std::string scope, const idempotency::Replay& replay,
                              const WaitingBegin& waiting) {
  auto response =
      idempotency::read_response(parts_.ledger.draft(), waiting.call.ns, waiting.call.id, replay.version);
  if (!response) {
    response.error().scope = std::move(scope);
    return answer_later<BeginAnswer>(response.error(), std::move(*waiting.done));
  }
  BeginAnswer answer;
  answer.scope = std::move(scope);
  answer.replay = StoredResponse{response->status, response->content_type, std::move(response->body)};
  answer.session = waiting.call.session;
  Hlc& seen = answer.session[replay.version.node];
  seen = std::max(seen, replay.version.hlc);
  answer_later<BeginAnswer>(std::move(answer), std::move(*waiting.done));
}

std::string RequestDesk::scope_of(const std::string& ns, const idempotency::Row& row, WallMs now) const {
  return idempotency::format_scope(idempotency::scope_of(row, terms_of(ns).rules.scope, now));
}

// ---- complete, execute, resolve

void RequestDesk::finish_completion(Result<CommitId> id, const Ack& ack, CompleteAnswer answer,
                                    Done<CompleteAnswer> done) {
  if (!id) return answer_later<CompleteAnswer>(id.error(), std::move(done));
  answer.commit = *id;
  parts_.acknowledger.when_done(
      *id, ack, now_,
      [answer = std::move(answer), done = std::move(done)](Result<Acknowledged> acknowledged) mutable {
        if (!acknowledged) return done(acknowledged.error());
        answer.state = acknowledged->state;
        done(std::move(answer));
      });
}

void RequestDesk::complete(CompleteCall call, Done<CompleteAnswer> done) {
  if (auto checked = check_writes(call.writes, parts_.config.limits); !checked) return done(checked.error());
  if (auto checked = parts_.replicator.check_ack(call.ack); !checked) return done(checked.error());
  auto here = this->here();
  if (!here) return done(here.error());
  auto row = row_of(call.ns, call.id);
  if (!row) return done(row.error());
  auto decision = idempotency::complete(*row, {call.ns, call.id, call.token, to_completion(call)},
                                        terms_of(call.ns), *here);
  if (!decision.answer)
    return refuse(decision.answer.error(), std::move(decision.operations), here->at, std::move(done));
  CompleteAnswer answer;
  answer.completed_at = decision.answer->completed_at;
  answer.replayed = decision.answer->replayed;
  answer.session = std::move(call.session);
  Hlc& seen = answer.session[decision.answer->version.node];
  seen = std::max(seen, decision.answer->version.hlc);
  if (answer.replayed)
    return finish_completion(decision.answer->commit, call.ack, std::move(answer), std::move(done));
  auto writes =
      prepare_writes(parts_.ledger.draft(), parts_.config.node.name, parts_.ledger.now(), call.writes);
  if (!writes) return answer_later<CompleteAnswer>(writes.error(), std::move(done));
  if (REFRAIN_PLANTED(outcome_without_operations) && !writes->operations.empty()) {
    auto outcome = parts_.ledger.append(here->at, std::move(decision.operations), false);
    auto later = parts_.ledger.mint();
    if (later) (void)parts_.ledger.append(*later, std::move(writes->operations), false);
    return finish_completion(std::move(outcome), call.ack, std::move(answer), std::move(done));
  }
  append_all(decision.operations, std::move(writes->operations));
  finish_completion(parts_.ledger.append(here->at, std::move(decision.operations), call.ack.wants_tick()),
                    call.ack, std::move(answer), std::move(done));
}

void RequestDesk::execute(CompleteCall call, Done<CompleteAnswer> done) {
  if (auto checked = check_writes(call.writes, parts_.config.limits); !checked) return done(checked.error());
  if (auto checked = parts_.replicator.check_ack(call.ack); !checked) return done(checked.error());
  if (!parts_.replicator.covers(call.session) && !REFRAIN_PLANTED(session_ignored_by_execute)) {
    return done(conflict("stale", fmt::format("This node has not applied yet what the session has seen: {}. "
                                              "Ask the node that was asked before.",
                                              parts_.replicator.describe_missing(call.session))));
  }
  auto here = this->here();
  if (!here) return done(here.error());
  auto row = row_of(call.ns, call.id);
  if (!row) return done(row.error());
  idempotency::ExecuteCall asked{call.ns, call.id, {}, to_completion(call)};
  asked.fingerprint = call.fingerprint.value_or(idempotency::effects_fingerprint(asked.completion.effects));
  std::string scope = scope_of(call.ns, *row, here->now());
  auto refused = [&](Error error) {
    error.scope = scope;
    return error;
  };
  auto decision = idempotency::execute(*row, asked, terms_of(call.ns), freshness_of(call.ns), *here);
  if (!decision.answer)
    return refuse(refused(decision.answer.error()), std::move(decision.operations), here->at,
                  std::move(done));
  CompleteAnswer answer;
  answer.scope = scope;
  answer.session = std::move(call.session);
  if (const auto* replay = std::get_if<idempotency::Replay>(&*decision.answer)) {
    auto response = idempotency::read_response(parts_.ledger.draft(), call.ns, call.id, replay->version);
    if (!response) return answer_later<CompleteAnswer>(refused(response.error()), std::move(done));
    answer.replayed = true;
    answer.completed_at = replay->outcome.completed_at;
    answer.response = {response->status, response->content_type, std::move(response->body)};
    Hlc& seen = answer.session[replay->version.node];
    seen = std::max(seen, replay->version.hlc);
    return finish_completion(replay->commit, call.ack, std::move(answer), std::move(done));
  }
  if (auto taken = parts_.rates.take(call.ns, now_.steady); !taken) return done(refused(taken.error()));
  auto writes =
      prepare_writes(parts_.ledger.draft(), parts_.config.node.name, parts_.ledger.now(), call.writes);
  if (!writes) return answer_later<CompleteAnswer>(refused(writes.error()), std::move(done));
  append_all(decision.operations, std::move(writes->operations));
  const auto& ran = std::get<idempotency::Ran>(*decision.answer);
  answer.completed_at = ran.completed_at;
  if (call.response) answer.response = std::move(*call.response);
  answer.session[parts_.config.node.name] = here->at;
  finish_completion(parts_.ledger.append(here->at, std::move(decision.operations), call.ack.wants_tick()),
                    call.ack, std::move(answer), std::move(done));
}

void RequestDesk::resolve(ResolveCall call, Done<CompleteAnswer> done) {
  auto here = this->here();
  if (!here) return done(here.error());
  auto row = row_of(call.ns, call.id);
  if (!row) return done(row.error());
  idempotency::ResolveCall asked{call.ns, call.id, std::nullopt};
  if (call.complete)
    asked.completion =
        idempotency::Completion{to_response(call.response), call.too_large, {}, std::nullopt, std::nullopt};
  auto decision = idempotency::resolve(*row, asked, terms_of(call.ns), *here);
  if (!decision.answer)
    return refuse(decision.answer.error(), std::move(decision.operations), here->at, std::move(done));
  CompleteAnswer answer;
  answer.completed_at = decision.answer->resolved_at;
  answer.session[parts_.config.node.name] = here->at;
  finish_completion(parts_.ledger.append(here->at, std::move(decision.operations), false), {},
                    std::move(answer), std::move(done));
}

// ---- renew, release

void RequestDesk::renew(RenewCall call, Done<RenewAnswer> done) {
  if (auto checked = parts_.replicator.check_ack(call.ack); !checked) return done(checked.error());
  auto here = this->here();
  if (!here) return done(here.error());
  auto row = row_of(call.ns, call.id);
  if (!row) return done(row.error());
  auto decision =
      idempotency::renew(*row, {call.ns, call.id, call.token, call.lease}, terms_of(call.ns), *here);
  if (!decision.answer)
    return refuse(decision.answer.error(), std::move(decision.operations), here->at, std::move(done));
  RenewAnswer answer;
  answer.lease = decision.answer->lease;
  answer.lease_until = decision.answer->lease_until;
  if (decision.operations.empty()) {
    answer.state = "unchanged";
    return answer_later<RenewAnswer>(std::move(answer), std::move(done));
  }
  answer.session[parts_.config.node.name] = here->at;
  auto id = parts_.ledger.append(here->at, std::move(decision.operations), call.ack.wants_tick());
  if (!id) return done(id.error());
  answer.commit = *id;
  parts_.acknowledger.when_done(
      *id, call.ack, now_,
      [answer = std::move(answer), done = std::move(done)](Result<Acknowledged> acknowledged) mutable {
        if (!acknowledged) return done(acknowledged.error());
        answer.state = acknowledged->state;
        done(std::move(answer));
      });
}

void RequestDesk::release(ReleaseCall call, Done<ReleaseAnswer> done) {
  if (auto checked = parts_.replicator.check_ack(call.ack); !checked) return done(checked.error());
  auto here = this->here();
  if (!here) return done(here.error());
  auto row = row_of(call.ns, call.id);
  if (!row) return done(row.error());
  auto decision = idempotency::release(*row, {call.ns, call.id, call.token}, *here);
  if (!decision.answer)
    return refuse(decision.answer.error(), std::move(decision.operations), here->at, std::move(done));
  ReleaseAnswer answer;
  if (decision.operations.empty()) {
    answer.state = "unchanged";
    return answer_later<ReleaseAnswer>(std::move(answer), std::move(done));
  }
  answer.session[parts_.config.node.name] = here->at;
  auto id = parts_.ledger.append(here->at, std::move(decision.operations), call.ack.wants_tick());
  if (!id) return done(id.error());
  answer.commit = *id;
  parts_.acknowledger.when_done(
      *id, call.ack, now_,
      [answer = std::move(answer), done = std::move(done)](Result<Acknowledged> acknowledged) mutable {
        if (!acknowledged) return done(acknowledged.error());
        answer.state = acknowledged->state;
        done(std::move(answer));
      });
}

// ---- Idempotency-Key

void RequestDesk::commit_once(CommitCall call, Done<CommitAnswer> done) {
  const std::string& kv_ns = call.writes.front().ns;
  const std::string ns = idempotency::http_namespace(kv_ns);
  const std::string id = call.idempotency_key->key;
  auto here = this->here();
  if (!here) return done(here.error());
  auto row = row_of(ns, id);
  if (!row) return done(row.error());
  idempotency::Receipt receipt{
      {parts_.config.node.name, parts_.ledger.identity().incarnation, parts_.ledger.books().newest.next()},
      {here->at, parts_.config.node.name},
      {}};
  auto decide = [&] {
    auto asked = idempotency::http_execute(kv_ns, id, call.idempotency_key->fingerprint,
                                           to_effects(call.writes), receipt);
    return idempotency::execute(*row, asked, terms_of(ns), freshness_of(ns), *here);
  };
  auto decision = decide();
  if (!decision.answer)
    return refuse(decision.answer.error(), std::move(decision.operations), here->at, std::move(done));
  bool first = std::holds_alternative<idempotency::Ran>(*decision.answer);
  std::vector<store::Operation> operations;
  if (first) {
    if (auto taken = parts_.rates.take(call.writes, now_.steady); !taken) return done(taken.error());
    auto writes =
        prepare_writes(parts_.ledger.draft(), parts_.config.node.name, parts_.ledger.now(), call.writes);
    if (!writes) return answer_later<CommitAnswer>(writes.error(), std::move(done));
    receipt.existed = writes->existed;
    operations = std::move(decide().operations);  // again, with the receipt whole
    append_all(operations, std::move(writes->operations));
    if (auto appended = parts_.ledger.append(here->at, std::move(operations), call.ack.wants_tick());
        !appended)
      return done(appended.error());
  } else {
    const auto& replay = std::get<idempotency::Replay>(*decision.answer);
    auto response = idempotency::read_response(parts_.ledger.draft(), ns, id, replay.version);
    if (!response) return answer_later<CommitAnswer>(response.error(), std::move(done));
    auto kept = idempotency::decode_receipt(response->body);
    if (!kept)
      return done(corrupt("The stored receipt of this Idempotency-Key cannot be read. Look at its disk."));
    receipt = std::move(*kept);
  }
  CommitAnswer answer;
  answer.commit = receipt.commit;
  answer.version = receipt.version;
  answer.existed = std::move(receipt.existed);
  answer.replayed = !first;
  answer.session = std::move(call.session);
  Hlc& seen = answer.session[answer.version.node];
  seen = std::max(seen, answer.version.hlc);
  parts_.acknowledger.when_done(answer.commit, call.ack, now_,
                                [answer, done = std::move(done)](Result<Acknowledged> acknowledged) mutable {
                                  if (!acknowledged) return done(acknowledged.error());
                                  answer.state = acknowledged->state;
                                  answer.applied_by = std::move(acknowledged->applied_by);
                                  answer.waiting_for = std::move(acknowledged->waiting_for);
                                  answer.timed_out = acknowledged->timed_out;
                                  done(std::move(answer));
                                });
}

// ---- inspection

std::optional<RequestReport> RequestDesk::report(const std::string& ns, const std::string& id,
                                                 const store::RequestRow& row,
                                                 const std::optional<Sha256>& fingerprint, WallMs now) const {
  std::shared_ptr<const Others> others;
  {
    std::lock_guard lock(others_mutex_);
    others = others_;
  }
  idempotency::Here here{parts_.config.node.name, others->incarnation, Hlc::of(now), others->peers,
                         parts_.config.clock.max_drift};
  auto seen = idempotency::report(row, terms_of(ns).rules, fingerprint, here);
  if (!seen) return std::nullopt;
  RequestReport report;
  report.id = id;
  report.state = std::string(idempotency::state_name(seen->state));
  report.attempt = seen->attempt;
  report.node = seen->node;
  report.scope = idempotency::format_scope(seen->scope);
  report.on_expiry = seen->on_expiry;
  report.started_at = seen->started_at;
  report.lease_until = seen->lease_until;
  report.completed_at = seen->completed_at;
  report.response_until = seen->response_until;
  report.seen_until = seen->seen_until;
  report.fingerprint_matches = seen->fingerprint_matches;
  if (seen->response) {
    report.response = {seen->response->status, seen->response->content_type, seen->response->size,
                       seen->response->too_large};
  }
  return report;
}

void RequestDesk::describe(StatusReport& report) const {
  report.duplicates = duplicates_.certain;
  report.duplicates_possible = duplicates_.possible;
  report.unknown_requests = open_.unknown;
  report.running_requests = open_.running;
  report.waiters += waiting();
}

}  // namespace refrain::node
