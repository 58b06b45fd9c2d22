// SPDX-License-Identifier: Apache-2.0
// Three regions, driven at random, beside an oracle that knows nothing of rows.
//
// World: one journal a node, delivered in order and at any delay; clocks that differ by up to 200 ms; workers
// that renew, release, complete here or elsewhere, say it again, or die; nodes that look silent; operators.
// Oracle: who had heard which event (a go, a renewal, a release, an outcome) when a call was made, as sets.
// It works out each answer from those sets by the sentences of docs/requests.md.
#pragma once
#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/idempotency/site.h"

namespace refrain::idempotency {

struct Mode {
  const char* name = "retry";
  bool hold = false;         // half of the claims are under hold, and operators resolve
  bool all_effects = false;  // every completion carries an operation, so it goes to the token's node
  bool short_lives = false;  // ids are forgotten and begun again; journals are at most a second behind
  bool executes = true;
};

struct Run {
  std::string id;
  NodeName node;
  Hlc go;
  std::string token;
  std::string payload;
  bool hold = false;
  std::uint32_t attempt = 1;
  Milliseconds seen_ttl{0};
  std::set<int> saw;  // the runs that its node had heard of
};

struct Event {
  enum class Kind { kGo, kRenewed, kReleased, kOutcome, kOperatorRelease } kind = Kind::kGo;
  std::string id;
  int run = -1;           // none: an operator's
  WallMs lease;           // kGo, kRenewed
  Version version;        // kOutcome, kOperatorRelease
  std::string response;   // kOutcome
  std::string payload;    // kOutcome
  WallMs response_until;  // kOutcome
  WallMs seen_until;      // kOutcome
  std::set<int> saw;      // kOperatorRelease
  std::size_t place = 0;  // in its node's journal
};

/// What one node has heard of one id.
struct Heard {
  std::map<int, WallMs> leases;  // of each run whose go was heard, its longest
  std::set<int> released;
  std::vector<Event> outcomes;
  std::vector<std::pair<NodeName, Event>> operator_releases;

  const Event* answer() const {
    auto best = std::max_element(outcomes.begin(), outcomes.end(),
                                 [](const Event& a, const Event& b) { return a.version < b.version; });
    return best == outcomes.end() ? nullptr : &*best;
  }
  WallMs seen_until() const {
    WallMs latest;
    for (const Event& outcome : outcomes) latest = std::max(latest, outcome.seen_until);
    return latest;
  }
};

class World {
 public:
  World(std::uint64_t seed, Mode mode) : mode_(mode), random_(seed) {
    for (const char* name : {"ap", "eu", "us"}) sites_.push_back(std::make_unique<Site>(name, clock_));
    for (auto& site : sites_) {
      for (auto& other : sites_) {
        if (other != site) site->peers[other->name()] = {};
      }
      site->terms.rules.seen_ttl = Milliseconds{mode_.short_lives ? 15'000 : 1'000'000'000};
      site->terms.rules.response_ttl = Milliseconds{mode_.short_lives ? 8'000 : 1'000'000'000};
    }
  }

  /// Empty, or the first thing that was not so.
  std::string run(int steps) {
    for (int i = 0; i < steps && wrong_.empty(); ++i) step();
    if (wrong_.empty()) heal();
    if (wrong_.empty() && !mode_.short_lives) check_end();
    if (wrong_.empty()) check_nothing_is_stuck();
    return wrong_;
  }

  std::map<std::string, int> counts;  // that the rare things happened

 private:
  // ---- the world

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(int percent) { return below(100) < static_cast<std::uint64_t>(percent); }
  template <class T>
  T& any(std::vector<T>& from) {
    return from[below(from.size())];
  }
  void expect(bool holds, const std::string& what) {
    if (!holds && wrong_.empty()) wrong_ = what + " at " + std::to_string(clock_.value - kStart) + " ms";
  }
  void same(const std::string& got, const std::string& wanted, const std::string& what) {
    expect(got == wanted, what + ": got " + got + ", the oracle says " + wanted);
  }

  void step() {
    static constexpr std::int64_t kSteps[] = {0, 0, 0, 100, 100, 300};
    clock_ = clock_ + Milliseconds{kSteps[below(6)]};
    Site& site = *any(sites_);
    std::uint64_t dice = below(100);
    if (dice < 14) {
      begin(site, any(ids_));
    } else if (dice < 15 && mode_.executes) {
      execute(site, any(ids_));
    } else if (dice < 42 && !working_.empty()) {
      work(below(working_.size()));
    } else if (dice < 44 && mode_.hold) {
      resolve(site, any(ids_));
    } else if (dice < 84) {
      Site& other = *any(sites_);
      if (&other != &site) site.hear(other, 1 + below(6));
    } else if (dice < 94) {
      site.tick();
      if (chance(30)) site.compact();
    } else if (dice < 97) {
      site.skew = Milliseconds{static_cast<std::int64_t>(below(5)) * 100 - 200};
    } else {
      Site& other = *any(sites_);
      if (&other != &site) site.peers[other.name()].silent = !site.peers[other.name()].silent;
    }
    if (mode_.short_lives) keep_up();
  }

  void keep_up() {
    if (clock_ < next_meeting_) return;
    next_meeting_ = clock_ + Milliseconds{1'000};
    meet();
  }
  void meet() {
    for (auto& site : sites_) site->tick();
    for (auto& site : sites_) {
      for (auto& other : sites_) {
        if (other != site) site->hear(*other);
      }
    }
  }
  void heal() {
    for (auto& site : sites_) {
      site->skew = Milliseconds{0};
      for (auto& [name, peer] : site->peers) peer.silent = false;
    }
    for (int i = 0; i < 3; ++i) {
      clock_ = clock_ + Milliseconds{1'000};
      meet();
    }
  }

  // ---- calls, each beside what the oracle says

  void begin(Site& site, const std::string& id) {
    Site::Options options;
    options.payload = any(payloads_);
    options.lease = Milliseconds{chance(50) ? 1'000 : 3'000};
    if (mode_.hold && chance(50)) options.on_expiry = OnExpiry::kHold;
    std::string wanted = word(site, id, options.payload);
    Heard heard = hear_of(site, id);
    auto answer = site.begin(id, options);
    check_word(site, id, answer, wanted, heard);
    if (!answer || !std::holds_alternative<Go>(*answer)) return;
    Go go = std::get<Go>(*answer);
    Run run{id,
            site.name(),
            {std::stoull(go.fencing)},
            go.token,
            options.payload,
            go.on_expiry == OnExpiry::kHold,
            go.attempt,
            site.terms.rules.seen_ttl,
            {}};
    check_go(run, heard);
    for (const auto& [known, lease] : heard.leases) run.saw.insert(known);
    counts[heard.leases.empty() ? "first go" : "later go"]++;
    runs_.push_back(run);
    note(site, {Event::Kind::kGo, id, newest(), go.lease_until, {}, {}, {}, {}, {}, {}, 0});
    if (chance(90)) working_.push_back(newest());
  }

  void execute(Site& site, const std::string& id) {
    std::string payload = any(payloads_);
    std::string wanted = word(site, id, payload);
    Heard heard = hear_of(site, id);
    std::string name = "x" + std::to_string(runs_.size());
    auto answer = site.execute(id, completion(id, name, false), payload);
    std::string got = !answer ? answer.error().slug : std::holds_alternative<Ran>(*answer) ? "go" : "replay";
    same(got, wanted, "execute of " + id + " at " + site.name());
    if (got != "go") return;
    Ran ran = std::get<Ran>(*answer);
    runs_.push_back({id, site.name(), ran.version.hlc, "", payload, false, ran.attempt, {}, {}});
    executed_.insert(newest());
    accepted(site, newest(), ran.version, name, payload);
    counts["executed"]++;
  }

  void work(std::size_t place) {
    int run = working_[place];
    Site& home = site_of(runs_[run].node);
    if (chance(4)) return stop(place);  // it dies
    if (!began_to_complete_.contains(run)) {
      std::uint64_t dice = below(100);
      if (dice < 12) {
        release(home, run);
        if (chance(80)) stop(place);
      } else if (dice < 40) {
        renew(home, run);
      } else if (dice < 60) {
        began_to_complete_.insert(run);
      }
      return;
    }
    bool elsewhere = !mode_.all_effects && chance(25);
    complete(elsewhere ? *any(sites_) : home, run, mode_.all_effects || chance(40), chance(5));
    if (chance(85)) stop(place);  // else the answer was lost: it asks again
  }
  void stop(std::size_t place) { working_.erase(working_.begin() + static_cast<std::ptrdiff_t>(place)); }

  void renew(Site& site, int run) {
    std::string wanted = lease_word(site, run);
    auto answer = site.renew(runs_[run].id, runs_[run].token, Milliseconds{2'000});
    same(slug(answer), wanted, "renew of run " + std::to_string(run));
    if (!answer) return;
    note(site, {Event::Kind::kRenewed, runs_[run].id, run, answer->lease_until, {}, {}, {}, {}, {}, {}, 0});
  }
  void release(Site& site, int run) {
    Heard heard = hear_of(site, runs_[run].id);
    bool again = heard.released.contains(run) && !later_of_its_node(heard, run) && in_life(site, run);
    std::string wanted = again ? "ok" : lease_word(site, run);
    auto answer = site.release(runs_[run].id, runs_[run].token);
    same(slug(answer), wanted, "release of run " + std::to_string(run));
    if (answer && !answer->again) {
      note(site, {Event::Kind::kReleased, runs_[run].id, run, {}, {}, {}, {}, {}, {}, {}, 0});
    }
  }

  void complete(Site& site, int run, bool effects, bool differently) {
    const std::string& id = runs_[run].id;
    std::string name = "r" + std::to_string(run) + (differently ? "'" : "");
    effects = effects && (effects_of_.contains(run) ? effects_of_[run] : true);
    effects_of_.emplace(run, effects);
    effects = effects_of_[run];
    bool lists = false;
    std::string wanted = complete_word(site, run, name, effects, lists);
    auto answer = site.complete(id, runs_[run].token, completion(id, name, effects));
    same(slug(answer), wanted, "complete of run " + std::to_string(run) + " at " + site.name());
    if (!answer && lists) listed_.insert(run);
    if (!answer) counts["complete: " + answer.error().slug]++;
    if (answer && !answer->replayed) accepted(site, run, answer->version, name, runs_[run].payload);
  }
  void accepted(Site& site, int run, const Version& version, const std::string& name,
                const std::string& payload) {
    const store::Outcome stored = site.row(runs_[run].id)->outcome->outcome;
    note(site, {Event::Kind::kOutcome,
                runs_[run].id,
                run,
                {},
                version,
                name,
                payload,
                stored.response_until,
                stored.seen_until,
                {},
                0});
    completed_.insert(run);
  }
  Completion completion(const std::string& id, const std::string& name, bool effects) {
    Completion made = effects || mode_.all_effects ? with_effect(name, id) : responding(name);
    return made;
  }

  void resolve(Site& site, const std::string& id) {
    std::string wanted = state(site, id);
    Heard heard = hear_of(site, id);
    std::size_t before = site.journal().size();
    auto answer = site.resolve_release(id);
    same(answer ? "unknown" : answer.error().slug,
         wanted == "absent"    ? "not_found"
         : wanted == "running" ? "request_in_progress"
         : wanted == "unknown" ? "unknown"
                               : "already_completed",
         "resolve of " + id);
    if (!answer) return;
    Event event{
        Event::Kind::kOperatorRelease, id, -1, {}, site.journal()[before].version(), {}, {}, {}, {}, {}, 0};
    for (const auto& [known, lease] : heard.leases) event.saw.insert(known);
    note(site, event);
    counts["operator's release"]++;
  }

  // ---- the oracle

  void note(Site& site, Event event) {
    event.place = site.journal().size() - 1;
    events_[site.name()].push_back(std::move(event));
  }
  int newest() const { return static_cast<int>(runs_.size()) - 1; }
  Site& site_of(const NodeName& name) {
    return **std::find_if(sites_.begin(), sites_.end(), [&](auto& site) { return site->name() == name; });
  }

  Heard hear_of(const Site& site, const std::string& id) const {
    Heard heard;
    for (const auto& [node, events] : events_) {
      std::size_t until = node == site.name() ? SIZE_MAX : site.heard(node);
      for (const Event& event : events) {
        if (event.id == id && event.place < until) take(heard, node, event);
      }
    }
    return heard;
  }
  static void take(Heard& heard, const NodeName& node, const Event& event) {
    switch (event.kind) {
      case Event::Kind::kGo:
      case Event::Kind::kRenewed:
        heard.leases[event.run] = std::max(heard.leases[event.run], event.lease);
        break;
      case Event::Kind::kReleased:
        heard.released.insert(event.run);
        break;
      case Event::Kind::kOutcome:
        heard.outcomes.push_back(event);
        break;
      case Event::Kind::kOperatorRelease:
        heard.operator_releases.emplace_back(node, event);
        break;
    }
  }

  bool later_of_its_node(const Heard& heard, int run) const {
    for (const auto& [other, lease] : heard.leases) {
      if (runs_[other].node == runs_[run].node && runs_[other].go > runs_[run].go) return true;
    }
    for (const auto& [node, event] : heard.operator_releases) {
      if (node == runs_[run].node && event.version.hlc > runs_[run].go) return true;
    }
    return false;
  }
  bool superseded_by_a_run(const Heard& heard, int run) const {
    for (const auto& [other, lease] : heard.leases) {
      if (runs_[other].node == runs_[run].node && runs_[other].go > runs_[run].go) return true;
      if (runs_[other].saw.contains(run)) return true;
    }
    return false;
  }
  bool superseded_by_anything(const Heard& heard, int run) const {
    if (superseded_by_a_run(heard, run) || later_of_its_node(heard, run)) return true;
    return std::any_of(heard.operator_releases.begin(), heard.operator_releases.end(),
                       [&](const auto& release) { return release.second.saw.contains(run); });
  }
  bool remembered(const Heard& heard, int run, WallMs now) const {
    return runs_[run].hold || now < heard.leases.at(run) + runs_[run].seen_ttl;
  }
  std::set<int> open(const Heard& heard, WallMs now) const {
    std::set<int> out;
    for (const auto& [run, lease] : heard.leases) {
      bool older = heard.answer() && !(heard.answer()->version < Version{runs_[run].go, runs_[run].node});
      if (heard.released.contains(run) || superseded_by_anything(heard, run) || older) continue;
      if (remembered(heard, run, now)) out.insert(run);
    }
    return out;
  }
  bool lease_over(const Site& site, const Heard& heard, int run, WallMs now) const {
    WallMs lease = heard.leases.at(run);
    const NodeName& node = runs_[run].node;
    if (node == site.name()) return lease <= now;
    const Peer& peer = site.peers.at(node);
    return lease <= peer.applied.wall() || (peer.silent && lease + Milliseconds{10'000} <= now);
  }

  std::string state(Site& site, const std::string& id) {
    WallMs now = site.here().now();
    Heard heard = hear_of(site, id);
    if (now < heard.seen_until()) return now < heard.answer()->response_until ? "completed" : "seen";
    bool unknown = false;
    for (int run : open(heard, now)) {
      if (!lease_over(site, heard, run, now)) return "running";
      unknown = unknown || runs_[run].hold;
    }
    return unknown ? "unknown" : "absent";
  }
  std::string word(Site& site, const std::string& id, const std::string& payload) {
    WallMs now = site.here().now();
    Heard heard = hear_of(site, id);
    std::string so = state(site, id);
    if (so == "completed" || so == "seen") {
      if (heard.answer()->payload != payload) return "fingerprint_mismatch";
      return so == "completed" ? "replay" : "response_expired";
    }
    std::set<int> binding = open(heard, now);
    bool fits =
        std::any_of(binding.begin(), binding.end(), [&](int run) { return runs_[run].payload == payload; });
    if (!binding.empty() && !fits) return "fingerprint_mismatch";
    return so == "running" ? "request_in_progress" : so == "unknown" ? "outcome_unknown" : "go";
  }
  /// What renew and release get, and complete once no outcome of its own is there. A life that has ended
  /// answers as if nothing were known.
  std::string lease_word(Site& site, int run) {
    WallMs now = site.here().now();
    Heard heard = hear_of(site, runs_[run].id);
    if (now < heard.seen_until()) return "already_completed";
    if (superseded_by_anything(heard, run)) return "superseded";
    if (!in_life(site, run)) return "superseded";
    return heard.released.contains(run) ? "released" : "ok";
  }
  bool in_life(Site& site, int run) {
    WallMs now = site.here().now();
    Heard heard = hear_of(site, runs_[run].id);
    bool over = heard.answer() && heard.seen_until() <= now &&
                Version{runs_[run].go, runs_[run].node} <= heard.answer()->version;
    bool kept = heard.released.contains(run) ? now < heard.leases.at(run) + runs_[run].seen_ttl
                                             : remembered(heard, run, now);
    return kept && !over;
  }
  std::string complete_word(Site& site, int run, const std::string& name, bool effects, bool& lists) {
    WallMs now = site.here().now();
    Heard heard = hear_of(site, runs_[run].id);
    if (effects && site.name() != runs_[run].node) return "wrong_node";
    bool alive = now < heard.seen_until();
    const Event* answer = heard.answer();
    if (alive && answer->run == run) return answer->response == name ? "ok" : "completed_differently";
    // Of its node's claims the newest is known; of an older one only what the token says.
    bool arrived = heard.leases.contains(run) && !later_of_its_node(heard, run);
    if (arrived ? !remembered(heard, run, now) && !heard.released.contains(run)
                : runs_[run].go.wall() + site.terms.rules.seen_ttl <= now) {
      return "superseded";
    }
    lists = alive || superseded_by_a_run(heard, run);
    if (alive) return "already_completed";
    if (superseded_by_anything(heard, run)) return "superseded";
    return heard.released.contains(run) ? "released" : "ok";
  }

  // ---- what must hold

  void check_word(Site& site, const std::string& id, const Result<std::variant<Go, Replay>>& answer,
                  const std::string& wanted, const Heard& heard) {
    std::string got = !answer ? answer.error().slug : std::holds_alternative<Go>(*answer) ? "go" : "replay";
    same(got, wanted, "begin of " + id + " at " + site.name());
    counts[got]++;
    if (got != "replay" || !wrong_.empty()) return;
    auto stored = site.read(id, std::get<Replay>(*answer).version);
    same(stored ? stored->body : stored.error().slug, heard.answer()->response, "replay of " + id);
  }
  void check_go(const Run& run, const Heard& heard) {
    std::uint32_t attempts = 0;
    for (const auto& [other, lease] : heard.leases) {
      expect(runs_[other].go < run.go, "a fencing number that did not grow");
      attempts = std::max(attempts, runs_[other].attempt);
    }
    for (const auto& [node, release] : heard.operator_releases) {
      for (int other : release.saw) attempts = std::max(attempts, runs_[other].attempt);
    }
    if (!mode_.short_lives) expect(run.attempt == attempts + 1, "an attempt that was not the next");
  }
  void check_end() {
    for (const std::string& id : ids_) {
      Heard heard = hear_of(*sites_[0], id);
      for (auto& site : sites_) {
        expect(site->row(id) == sites_[0]->row(id), "rows of " + id + " differ");
        expect(site->marked_open(id) == sites_[0]->marked_open(id), "marks of " + id + " differ");
      }
      if (!heard.answer()) continue;
      for (auto& site : sites_) {
        same(site->read(id, heard.answer()->version) ? site->read(id, heard.answer()->version)->body : "none",
             heard.answer()->response, "the answer of " + id + " at " + site->name());
        if (mode_.all_effects) same(site->value(id), heard.answer()->response, "the effect of " + id);
      }
    }
    check_duplicates();
  }
  void check_duplicates() {
    std::set<std::pair<std::string, store::GoId>> wanted;
    std::set<std::pair<std::string, store::GoId>> answers;
    for (const std::string& id : ids_) {
      Heard heard = hear_of(*sites_[0], id);
      if (heard.answer()) answers.insert({id, go_id(heard.answer()->run)});
    }
    for (int run : completed_) wanted.insert({runs_[run].id, go_id(run)});
    for (int run : listed_) wanted.insert({runs_[run].id, go_id(run)});
    for (const auto& answer : answers) wanted.erase(answer);
    for (auto& site : sites_) {
      std::set<std::pair<std::string, store::GoId>> listed;
      for (const auto& duplicate : site->duplicates()) listed.insert({duplicate.id, duplicate.loser});
      for (const auto& answer : answers) listed.erase(answer);
      bool all = std::includes(listed.begin(), listed.end(), wanted.begin(), wanted.end());
      expect(all, "a double run is not listed at " + site->name());
      // An operator's release may stand where a claim stood: then a refusal cannot always tell.
      if (!mode_.hold)
        expect(listed.size() <= wanted.size(), "listed as certain at " + site->name() + ", and is not");
    }
    counts["double runs"] += static_cast<int>(wanted.size());
  }
  store::GoId go_id(int run) const { return {runs_[run].node, runs_[run].go}; }

  void check_nothing_is_stuck() {
    for (int i = 0; i < 5; ++i) {
      clock_ = clock_ + Milliseconds{1'000};
      meet();
    }
    for (const std::string& id : ids_) {
      for (auto& site : sites_) {
        std::string so = site->state(id);
        expect(so != "running", id + " still runs at " + site->name());
        expect(so != "unknown" || mode_.hold, id + " is unknown without hold");
      }
    }
  }

  Mode mode_;
  std::mt19937_64 random_;
  WallMs clock_{kStart};
  WallMs next_meeting_{kStart};
  std::vector<std::unique_ptr<Site>> sites_;
  std::vector<std::string> ids_{"w", "x", "y", "z"};
  std::vector<std::string> payloads_{"p", "p", "p", "p", "p", "q"};
  std::vector<Run> runs_;
  std::map<NodeName, std::vector<Event>> events_;
  std::vector<int> working_;
  std::set<int> began_to_complete_;
  std::map<int, bool> effects_of_;
  std::set<int> completed_;  // an outcome of theirs was taken somewhere
  std::set<int> executed_;
  std::set<int> listed_;  // refused because another run was given a go or has completed
  std::string wrong_;
};

}  // namespace refrain::idempotency
