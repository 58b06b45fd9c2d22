// SPDX-License-Identifier: Apache-2.0
#include "request_answers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "world.h"

namespace refrain::simulation {
namespace {

constexpr const char* kHome = "eu";

std::string readable(const std::string& row) {
  std::string text = row;
  std::ranges::replace(text, '\0', '/');
  return text;
}

bool is_at_home(const std::string& row) {
  return row.starts_with("home");
}

/// That payload cannot be this request's: something binds it to another one.
bool binds_another(const SeenRow& seen, const Sha256& fingerprint, WallMs now) {
  if (seen.done(now)) return seen.outcome->outcome.fingerprint != kept_part(fingerprint);
  auto open = seen.open_claims(now);
  return !open.empty() && std::ranges::none_of(open, [&](const SeenClaim* claim) {
    return claim->given->claim.fingerprint == kept_part(fingerprint);
  });
}

bool has_token(const SeenRow& seen, const store::GoId& go) {
  auto found = seen.claims.find(go.node);
  return found != seen.claims.end() && found->second.given->go == go;
}

bool took_over(const SeenRow& seen, const store::GoId& go) {
  auto found = seen.claims.find(go.node);
  bool later = found != seen.claims.end() && found->second.given->go.go > go.go;
  return later || seen.superseded(go);
}

/// An operator released it: that is no run.
bool has_word(const RequestEvents& events) {
  return std::ranges::any_of(
      events, [](const RequestEvent& e) { return e.kind == RequestEvent::Kind::kOperatorRelease; });
}

bool says(const store::Outcome& outcome, const node::StoredResponse& response) {
  return !outcome.too_large && outcome.status == response.status &&
         outcome.content_type == response.content_type && outcome.body == response.body;
}

}  // namespace

RequestAnswers::Sight RequestAnswers::sight(Machine& machine, const std::string& row) {
  const RequestTruth& truth = world_.requests();
  return {truth.now_at(machine.index(), row), truth.before_at(machine.index(), row),
          truth.least_time(machine.index())};
}

void RequestAnswers::wrong(Machine& machine, const std::string& row, const std::string& what) {
  world_.wrong(fmt::format("{} of {}: {}", machine.name(), readable(row), what));
}

/// Counts a refusal. True: it says nothing of the request.
bool RequestAnswers::noted(const char* call, Machine& machine, const std::string& row, const Error& error) {
  world_.hit(fmt::format("{}: {}", call, error.slug));
  world_.trace(fmt::format("{} refused {} of {}: {}", machine.name(), call, readable(row), error.slug));
  if (error.code == Code::kCorrupt) wrong(machine, row, "its rows cannot be read: " + error.detail);
  return error.code == Code::kUnavailable || error.code == Code::kUnknown || error.slug == "stale";
}

// ---- begin

void RequestAnswers::began(Machine& machine, const SentBegin& sent, const Result<node::BeginAnswer>& answer) {
  const std::string& row = sent.row;
  if (!answer) {
    bool nothing = noted("begin", machine, row, answer.error());
    if (!nothing || answer.error().slug == "catching_up" || answer.error().slug == "lag_too_large" ||
        answer.error().slug == "config_mismatch")
      refused_begin(machine, row, sent.call.fingerprint, answer.error());
    return;
  }
  world_.trace(fmt::format("{} began {}: {}", machine.name(), readable(row), answer->go ? "go" : "replay"));
  session(machine, row, sent.call.session);
  if (answer->scope != (is_at_home(row) ? "home:eu" : "local"))
    wrong(machine, row, "its scope is said to be " + answer->scope);
  if (answer->go) return go(machine, sent, *answer);
  world_.hit("begin: replay");
  payload(machine, row, sent.call.fingerprint, sight(machine, row));
  replay(machine, row, *answer->replay);
}

/// What decides has what its caller's session has.
void RequestAnswers::session(Machine& machine, const std::string& row, const Vector& session) {
  Vector applied = machine.node().applied();
  for (const auto& [node, hlc] : session) {
    if (applied[node] < hlc && !is_over_and_had({hlc, node}, machine))
      wrong(machine, row, "was decided without what the caller's session has seen");
  }
}

/// "Nodes that were evicted count as covered"; who left or rejoined has given all to all before, save ticks.
bool RequestAnswers::is_over_and_had(const Version& version, Machine& machine) {
  if (world_.may_be_void(version)) return true;
  auto id = world_.ghost().minted(version);
  if (!id || !world_.may_end(id->incarnation)) return false;
  const auto& commits = world_.ghost().commits();
  for (auto commit = commits.find(*id); commit != commits.end() && commit->second.says_nothing;
       commit = commits.find(*id)) {
    if (id->seq.value == 1) return true;
    id->seq.value -= 1;
  }
  return world_.requests().had_now(machine.index()).has(*id);
}

void RequestAnswers::go(Machine& machine, const SentBegin& sent, const node::BeginAnswer& answer) {
  const node::BeginAnswer::Go& go = *answer.go;
  Version version{Hlc{std::stoull(go.fencing)}, machine.name()};
  world_.hit("begin: go");
  if (go.attempt > 1) world_.hit("begin: go, not the first");
  if (!go.behind.empty()) world_.hit("begin: go, behind");
  if (sent.call.gone && sent.call.gone->load())
    wrong(machine, sent.row, "a caller who is gone was given a go");
  if (!gos_.insert(version).second) wrong(machine, sent.row, "two were given the same go");
  const RequestEvent* event = world_.requests().find(version);
  if (event == nullptr || event->kind != RequestEvent::Kind::kGo ||
      event->go != store::GoId{version.node, version.hlc})
    return wrong(machine, sent.row, "a go was given that is on no disk");
  const store::Claim& claim = event->claim;
  bool hold = go.on_expiry == node::OnExpiry::kHold;
  if (claim.attempt != go.attempt || claim.lease_until != go.lease_until || claim.hold != hold ||
      claim.fingerprint != kept_part(sent.call.fingerprint))
    wrong(machine, sent.row, "the go does not say what is on the disk");
  count_takeovers(*event, sent.row);
  for (const auto& [journal, had, end] : world_.requests().not_caught_up(machine.index())) {
    if (std::ranges::find(go.behind, journal.node) != go.behind.end()) continue;
    std::string what = fmt::format("{} of {}: a go before what {} had decided at the start was read",
                                   machine.name(), readable(sent.row), journal.node);
    // What is void is decided nowhere.
    if (world_.may_end(journal.incarnation)) {
      world_.hit("begin: go, before the end of what was over or about to be");
      world_.history().early_gos.push_back({what, journal, had, end});
    } else {
      world_.wrong(what);
    }
  }
  WallMs wall = machine.clock().wall();
  for (const auto& [node, hlc] : machine.node().applied()) {
    // "A larger lag of any active member": who is over, or is not yet a member, is waited for by nobody.
    if (world_.plan().changes && world_.changed(*world_.machine_of(node))) continue;
    if (sent.call.max_lag && node != machine.name() && wall - hlc.wall() > *sent.call.max_lag)
      wrong(machine, sent.row, fmt::format("a go although {} is further behind than allowed", node));
  }
}

/// Whose leases had lapsed when a go was given.
void RequestAnswers::count_takeovers(const RequestEvent& go, const std::string& row) {
  Journal own{go.commit.node, go.commit.incarnation};
  Had had{go.had, own, Seq{go.commit.seq.value - 1}, world_.before()};
  SeenRow seen = see(world_.requests().row(row), had);
  for (const SeenClaim* claim : seen.open_claims(go.hlc.wall())) {
    bool ours = claim->given->commit.node == go.commit.node;
    Lapsed over = lapsed(*claim, go.commit.node, had, go.hlc.wall());
    if (over == Lapsed::kMaybe) world_.hit("begin: go, after a silent node's lease");
    if (over == Lapsed::kYes)
      world_.hit(ours ? "begin: go, after an own lease" : "begin: go, after another's lease");
  }
}

void RequestAnswers::replay(Machine& machine, const std::string& row, const node::StoredResponse& response) {
  Sight seen = sight(machine, row);
  const RequestEvent* outcome = seen.now.outcome;
  if (outcome == nullptr) return wrong(machine, row, "a replay although nothing has completed here");
  if (!says(outcome->outcome, response))
    return wrong(
        machine, row,
        fmt::format("replayed '{}', not what {} stored", response.body, format_commit_id(outcome->commit)));
  if (seen.least_time >= outcome->outcome.response_until)
    wrong(machine, row, "a response was replayed after its time");
}

/// With another payload the answer is that it is another payload, whatever else is so.
void RequestAnswers::payload(Machine& machine, const std::string& row, const Sha256& fingerprint,
                             const Sight& sight) {
  if (is_short_lived(row)) return;
  // What was released or given within the same batch may have bound it to nothing for a while.
  bool within = world_.requests().has_event(machine.index(), row, [&](const RequestEvent& e) {
    return world_.requests().in_newest_batch(machine.index(), e);
  });
  if (within) return;
  if (binds_another(sight.now, fingerprint, sight.least_time) &&
      binds_another(sight.before, fingerprint, sight.least_time))
    wrong(machine, row, "another payload was not refused as such");
}

void RequestAnswers::refused_begin(Machine& machine, const std::string& row, const Sha256& fingerprint,
                                   const Error& error) {
  Sight seen = sight(machine, row);
  auto either = [&](auto holds) { return holds(seen.now) || holds(seen.before); };
  auto has = [&](auto wanted) { return world_.requests().has_event(machine.index(), row, wanted); };
  if (error.slug == "fingerprint_mismatch") {
    bool within = has([&](const RequestEvent& e) {
      return e.is_claim() && e.claim.fingerprint != kept_part(fingerprint) &&
             world_.requests().in_newest_batch(machine.index(), e);
    });
    if (!within && !either([&](const SeenRow& r) { return binds_another(r, fingerprint, seen.least_time); }))
      wrong(machine, row, "the right payload was refused");
    return;
  }
  payload(machine, row, fingerprint, seen);
  auto any_open = [&](const SeenRow& r) { return !r.open_claims(seen.least_time).empty(); };
  // Whose row had ended here by time gives a go without naming the claim that stood in it; where that claim's
  // node did not know of it, its late renewal may come then.
  auto any_lasting = [&](const SeenRow& r) {
    return is_short_lived(row) && std::ranges::any_of(r.claims, [&](const auto& entry) {
             const SeenClaim& claim = entry.second;
             return claim.given != nullptr && !claim.released &&
                    seen.least_time < claim.lease_until + claim.given->claim.seen_ttl;
           });
  };
  auto any_held = [&](const SeenRow& r) {
    return std::ranges::any_of(r.open_claims(seen.least_time),
                               [](const SeenClaim* claim) { return claim->given->claim.hold; });
  };
  auto any_outcome = [](const SeenRow& r) { return r.outcome != nullptr; };
  bool right = true;
  if (error.slug == "request_in_progress") {
    // It may have ended within the same batch.
    right = either(any_open) || either(any_lasting) || has([&](const RequestEvent& e) {
              return e.gives_claim() && world_.requests().in_newest_batch(machine.index(), e);
            });
  } else if (error.slug == "outcome_unknown") {
    right = either(any_held);
  } else if (error.slug == "wrong_node") {
    right = is_at_home(row) && machine.name() != kHome;
  } else if (error.slug == "response_expired") {
    right = is_short_lived(row) && either(any_outcome);
  } else if (error.slug == "response_too_large") {
    right = either([&](const SeenRow& r) { return any_outcome(r) && r.outcome->outcome.too_large; });
  } else {
    right = error.code == Code::kUnavailable;
  }
  if (!right) wrong(machine, row, fmt::format("begin was refused as {}, which is not so", error.slug));
  bool decided = error.slug == "request_in_progress" || error.slug == "outcome_unknown";
  if (decided && is_at_home(row) && machine.name() != kHome)
    wrong(machine, row, "decided elsewhere than at its home");
}

// ---- complete, execute

void RequestAnswers::completed(Machine& machine, const SentToken& token, const Completion& sent,
                               const Result<node::CompleteAnswer>& answer) {
  const std::string& row = token.row;
  if (!answer) {
    if (noted("complete", machine, row, answer.error())) return;
    nothing_of(machine, sent);
    const std::string& slug = answer.error().slug;
    if (slug == "version_mismatch") return;
    refused_token(machine, token, answer.error());
    bool other_run = slug == "already_completed" ||
                     (slug == "superseded" && took_over(sight(machine, row).before, token.go) &&
                      !has_word(world_.requests().row(row)));
    if (other_run && !token.foreign && !is_short_lived(row))
      world_.history().refused.push_back({row, token.go});
    return;
  }
  world_.trace(
      fmt::format("{} completed {}: {}", machine.name(), readable(row), format_commit_id(answer->commit)));
  world_.history().decided.push_back(answer->commit);
  world_.hit(answer->replayed ? "complete: again" : "complete: done");
  if (token.foreign) return wrong(machine, row, "a token of another request completed it");
  if (machine.name() != token.go.node) world_.hit("complete: done at another node");
  SeenRow now = world_.requests().now_at(machine.index(), row);
  if (machine.name() != token.go.node && !has_token(now, token.go))
    world_.hit("complete: done before its claim came");
  if (has_token(now, token.go) &&
      now.claims.at(token.go.node).lease_until <= world_.requests().least_time(machine.index()))
    world_.hit("complete: done after its lease");
  const RequestEvents& events = world_.requests().row(row);
  auto event = std::ranges::find_if(events, [&](const RequestEvent& e) {
    return e.commit == answer->commit && e.kind == RequestEvent::Kind::kOutcome;
  });
  if (event == events.end() || event->go != token.go)
    return wrong(machine, row, "a completion was acknowledged that is on no disk");
  bool same = sent.response ? says(event->outcome, *sent.response) : event->outcome.too_large;
  if (!same || event->writes != sent.writes.size())
    wrong(machine, row, "a completion was acknowledged that is there with other content");
}

/// A refusal changes nothing: of what came with it there is no outcome, unless it was sent before.
void RequestAnswers::nothing_of(Machine& machine, const Completion& sent) {
  if (!sent.response || world_.history().sends[sent.response->body] != 1) return;
  for (const RequestEvent& event : world_.requests().row(sent.row)) {
    if (event.is_outcome() && event.outcome.body == sent.response->body)
      wrong(machine, sent.row, "a completion was refused and is there all the same");
  }
}

void RequestAnswers::executed(Machine& machine, const Completion& sent, const Sha256& fingerprint,
                              const Vector& seen, const Result<node::CompleteAnswer>& answer) {
  const std::string& row = sent.row;
  if (!answer) {
    bool nothing = noted("execute", machine, row, answer.error());
    if (!nothing) nothing_of(machine, sent);
    if (!nothing && answer.error().slug != "version_mismatch")
      refused_begin(machine, row, fingerprint, answer.error());
    return;
  }
  world_.trace(
      fmt::format("{} executed {}: {}", machine.name(), readable(row), format_commit_id(answer->commit)));
  world_.hit(answer->replayed ? "execute: replay" : "execute: done");
  if (!answer->replayed) world_.history().decided.push_back(answer->commit);
  session(machine, row, seen);
  if (answer->replayed) {
    payload(machine, row, fingerprint, sight(machine, row));
    return replay(machine, row, answer->response);
  }
  const RequestEvents& events = world_.requests().row(row);
  auto event = std::ranges::find_if(events, [&](const RequestEvent& e) {
    return e.commit == answer->commit && e.kind == RequestEvent::Kind::kExecute;
  });
  if (event == events.end()) return wrong(machine, row, "an execution was acknowledged that is on no disk");
  if (sent.response && (!says(event->outcome, *sent.response) || !says(event->outcome, answer->response)))
    wrong(machine, row, "an execution gave another response");
}

// ---- renew, release, resolve

void RequestAnswers::renewed(Machine& machine, const SentToken& token,
                             const Result<node::RenewAnswer>& answer) {
  if (!answer) {
    if (!noted("renew", machine, token.row, answer.error())) refused_token(machine, token, answer.error());
    return;
  }
  if (answer->commit.seq.value != 0) {
    const RequestEvents& events = world_.requests().row(token.row);
    auto before =
        std::ranges::find_if(events, [&](const RequestEvent& e) { return e.go == token.go && e.is_claim(); });
    if (before != events.end() && before->claim.lease_until <= world_.requests().least_time(machine.index()))
      world_.hit("renew: done after its first lease");
  }
  world_.hit("renew: " + std::string(answer->commit.seq.value == 0 ? "as long already" : "done"));
  if (token.foreign) return wrong(machine, token.row, "a token of another request renewed it");
  if (token.go.node != machine.name()) return wrong(machine, token.row, "another node's lease was renewed");
  bool there = world_.requests().has_event(machine.index(), token.row, [&](const RequestEvent& e) {
    return e.is_claim() && e.go == token.go && e.claim.lease_until >= answer->lease_until;
  });
  if (!there) wrong(machine, token.row, "a lease was renewed that is on no disk");
}

void RequestAnswers::released(Machine& machine, const SentToken& token,
                              const Result<node::ReleaseAnswer>& answer) {
  if (!answer) {
    if (!noted("release", machine, token.row, answer.error())) refused_token(machine, token, answer.error());
    return;
  }
  world_.hit(answer->commit.seq.value == 0 ? "release: again" : "release: done");
  if (token.foreign) return wrong(machine, token.row, "a token of another request released it");
  if (token.go.node != machine.name()) return wrong(machine, token.row, "another node's claim was released");
  SeenRow seen = world_.requests().now_at(machine.index(), token.row);
  if (has_token(seen, token.go) && !seen.claims.at(token.go.node).released)
    wrong(machine, token.row, "a claim was released that still binds");
}

void RequestAnswers::refused_token(Machine& machine, const SentToken& token, const Error& error) {
  Sight seen = sight(machine, token.row);
  const std::string& slug = error.slug;
  if (token.foreign) {
    if (slug != "bad_token") wrong(machine, token.row, "a token of another request was refused as " + slug);
    return;
  }
  const store::GoId& go = token.go;
  // An earlier incarnation of this node is another one: its claim may be lost.
  bool gave_it = go.node == machine.name() &&
                 world_.requests().giver(go) == world_.ghost().node(machine.index()).incarnation;
  auto either = [&](auto holds) { return holds(seen.now) || holds(seen.before); };
  bool right = false;
  if (slug == "bad_token") {  // where the clock is that far behind
    right = go.go.wall() > seen.least_time + Milliseconds{500};
    world_.hit("token: of a time that has not come");
  } else if (slug == "wrong_node") {
    right = machine.name() != go.node;
  } else if (slug == "completed_differently") {
    right = either([&](const SeenRow& r) { return r.outcome != nullptr && r.outcome->go == go; });
  } else if (slug == "already_completed") {
    right = either([](const SeenRow& r) { return r.outcome != nullptr; });
  } else if (slug == "released") {
    right = world_.requests().has_event(machine.index(), token.row, [&](const RequestEvent& e) {
      return e.kind == RequestEvent::Kind::kRelease && e.go == go;
    });
  } else if (slug == "superseded") {
    right = is_short_lived(token.row) || either([&](const SeenRow& r) {
              if (r.superseded(go)) world_.hit("token: another node took over");
              return took_over(r, go) || (!gave_it && !has_token(r, go));
            });
  }
  if (!right) wrong(machine, token.row, fmt::format("a token was refused as {}, which is not so", slug));
}

void RequestAnswers::resolved(Machine& machine, const Completion& sent, bool complete,
                              const Result<node::CompleteAnswer>& answer) {
  if (!answer) {
    if (noted("resolve", machine, sent.row, answer.error())) return;
    const std::string& slug = answer.error().slug;
    if (slug != "not_found" && slug != "request_in_progress" && slug != "already_completed")
      wrong(machine, sent.row, "an operator's word was refused as " + slug);
    return;
  }
  world_.history().decided.push_back(answer->commit);
  world_.hit(complete ? "resolve: completed" : "resolve: released");
  const RequestEvents& events = world_.requests().row(sent.row);
  bool there = std::ranges::any_of(events, [&](const RequestEvent& e) {
    return e.commit == answer->commit &&
           (e.kind == RequestEvent::Kind::kResolve || e.kind == RequestEvent::Kind::kOperatorRelease);
  });
  if (!there) wrong(machine, sent.row, "an operator's word was taken that is on no disk");
}

// ---- look

void RequestAnswers::look(Machine& machine, const std::string& row) {
  std::size_t zero = row.find('\0');
  auto payload = world_.history().requests.find(row);
  auto asked = payload == world_.history().requests.end() ? std::nullopt : std::optional(payload->second);
  auto report = machine.node().request(row.substr(0, zero), row.substr(zero + 1), asked);
  if (!report) return void(noted("request", machine, row, report.error()));
  std::string state = *report ? (*report)->state : "absent";
  world_.hit("request: " + state);
  Had had = world_.requests().had_now(machine.index());
  WallMs now = world_.requests().least_time(machine.index());
  SeenRow seen = see(world_.requests().row(row), had);
  auto not_so = [&](const std::string& why) {
    wrong(machine, row, "it is said to be " + state + ", " + why);
  };
  if (seen.done(now) && !is_short_lived(row)) {
    const store::Outcome& outcome = seen.outcome->outcome;
    if (state != "completed") return not_so("but is completed");
    if ((*report)->attempt != outcome.attempt || (*report)->node != outcome.go.node ||
        (*report)->response->size != outcome.body.size() ||
        (*report)->response->too_large != outcome.too_large)
      not_so("but of another run");
    if (asked && *(*report)->fingerprint_matches != (outcome.fingerprint == kept_part(*asked)))
      not_so("with a wrong word on its payload");
    return;
  }
  if (state == "completed" || state == "seen") {
    if (seen.outcome == nullptr) return not_so("but nobody has completed it");
    if (now >= seen.seen_until) return not_so("but that is forgotten");
    if (state == "completed" && now >= seen.outcome->outcome.response_until)
      not_so("but its response is no longer kept");
    return;
  }
  if (seen.done(now)) {  // it may be forgotten where the clock is ahead of what is known of it
    if (state != "absent") not_so("but was completed");
    return;
  }
  // A claim under hold that comes when the outcome which closed it is forgotten stands there alone.
  if (state == "unknown" && is_short_lived(row)) return;
  auto open = seen.open_claims(now);
  bool certainly_held = false;
  bool maybe_running = false;
  for (const SeenClaim* claim : open) {
    Lapsed over = lapsed(*claim, machine.name(), had, now);
    certainly_held = certainly_held || (claim->given->claim.hold && over == Lapsed::kYes);
    maybe_running = maybe_running || over != Lapsed::kYes;
  }
  bool any_held = std::ranges::any_of(open, [](const SeenClaim* c) { return c->given->claim.hold; });
  if (state == "running" && !maybe_running) not_so("but no lease runs");
  if (state == "unknown" && !any_held) not_so("but nothing is held");
  if (state == "absent" && any_held) not_so("but a claim is held");
  if (state == "running" && certainly_held && open.size() == 1) not_so("but its lease is over");
}

}  // namespace refrain::simulation
