// SPDX-License-Identifier: Apache-2.0
// The rules of requests, once more and in other words: may this decision be, given what its node had?
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "request_truth.h"

namespace refrain::simulation {
namespace {

constexpr const char* kHome = "eu";

struct Case {
  const RequestEvent& event;
  const std::string& row;
  const History& history;
  Had had;
  SeenRow seen;
  WallMs now;
  bool short_lived;
  std::optional<Incarnation> giver;  // of the token
};

std::string name_of(const store::GoId& go) {
  return format_version({go.go, go.node});
}

bool same(const store::Fingerprint& fingerprint, const store::Fingerprint& other) {
  return fingerprint == other;
}

/// Why nobody new may run.
std::string bound(const Case& of, const store::Fingerprint& fingerprint) {
  if (of.row.starts_with("home") && of.event.commit.node != kHome) return "it is not the home";
  // What is over by time at all nodes may be gone at some.
  if (of.seen.done(of.now)) return fmt::format("{} has completed", name_of(of.seen.outcome->go));
  auto open = of.seen.open_claims(of.now);
  for (const SeenClaim* claim : open) {
    if (lapsed(*claim, of.event.commit.node, of.had, of.now) == Lapsed::kNo)
      return fmt::format("{} runs until {}", name_of(claim->given->go), claim->lease_until.value);
    if (claim->given->claim.hold)
      return fmt::format("nobody knows how {} ended, which is held", name_of(claim->given->go));
  }
  bool fits = open.empty() || std::ranges::any_of(open, [&](const SeenClaim* claim) {
                return same(claim->given->claim.fingerprint, fingerprint);
              });
  if (!fits) return "a claim binds it to another payload";
  for (const auto& [node, claim] : of.seen.claims) {
    if (claim.given->go.go >= of.event.hlc) return "its fencing number is not the largest";
  }
  return {};
}

std::string attempt(const Case& of, std::uint32_t attempt) {
  bool right =
      of.short_lived ? attempt >= 1 && attempt <= of.seen.attempts + 1 : attempt == of.seen.attempts + 1;
  return right ? "" : fmt::format("it is attempt {} after {}", attempt, of.seen.attempts);
}

std::string go(const Case& of) {
  if (auto why = bound(of, of.event.claim.fingerprint); !why.empty()) return "a go although " + why;
  if (auto why = attempt(of, of.event.claim.attempt); !why.empty()) return why;
  std::map<NodeName, Hlc> had_seen;
  for (const auto& [node, claim] : of.seen.claims) {
    if (node != of.event.commit.node) had_seen[node] = claim.given->go.go;
  }
  if (!of.short_lived && had_seen != of.event.claim.seen) return "it names other claims than it had seen";
  return {};
}

/// Why a token can do nothing any more; `own` is its claim.
std::string token_over(const Case& of, const SeenClaim* own) {
  if (of.seen.done(of.now)) return fmt::format("{} has completed", name_of(of.seen.outcome->go));
  // Where the claim's time is over, nothing is left of it that a later one could have seen.
  bool may_be_gone = of.short_lived && of.event.commit.node != of.event.go.node;
  // And a go of such a time names nothing: a late renewal, where that go is not known, brings the claim back.
  if (of.seen.superseded(of.event.go) && !of.short_lived) return "another node's claim took over";
  auto newest = of.seen.claims.find(of.event.go.node);
  if (!may_be_gone && newest != of.seen.claims.end() && newest->second.given->go.go > of.event.go.go)
    return "a later claim of its node took over";
  if (own != nullptr && own->released && !may_be_gone) return "it was released";
  return {};
}

const SeenClaim* own_claim(const Case& of) {
  auto found = of.seen.claims.find(of.event.go.node);
  return found != of.seen.claims.end() && found->second.given->go == of.event.go ? &found->second : nullptr;
}

std::string renewal_or_release(const Case& of) {
  const SeenClaim* own = own_claim(of);
  if (own == nullptr) return "a claim changed that its node had not given, or that had a successor";
  if (auto why = token_over(of, own); !why.empty()) return "a claim changed although " + why;
  store::Claim changed = of.event.claim;
  changed.released = false;
  changed.lease_until = own->given->claim.lease_until;
  if (changed != own->given->claim) return "a claim changed in more than its lease";
  if (of.event.claim.lease_until < own->lease_until) return "a lease became shorter";
  return {};
}

/// An operator's word is only for what is unknown.
std::string word(const Case& of) {
  if (of.seen.done(of.now)) return "an operator's word although it is completed";
  bool unknown = false;
  for (const SeenClaim* claim : of.seen.open_claims(of.now)) {
    if (lapsed(*claim, of.event.commit.node, of.had, of.now) == Lapsed::kNo)
      return fmt::format("an operator's word although {} runs", name_of(claim->given->go));
    unknown = unknown || claim->given->claim.hold;
  }
  return unknown ? "" : "an operator's word although nothing is unknown";
}

bool same_content(const Case& of, const Completion& sent) {
  const store::Outcome& outcome = of.event.outcome;
  if (sent.too_large != outcome.too_large || sent.writes.size() != of.event.writes) return false;
  if (!sent.response) return true;
  return sent.response->status == outcome.status && sent.response->content_type == outcome.content_type &&
         sent.response->body == outcome.body;
}

std::string content(const Case& of, Completion::By by) {
  auto sent = of.history.completions.find(of.row);
  bool known = sent != of.history.completions.end() &&
               std::ranges::any_of(sent->second, [&](const Completion& completion) {
                 bool its =
                     completion.by == by && (by != Completion::By::kToken || completion.go == of.event.go);
                 return its && same_content(of, completion);
               });
  return known ? "" : "an outcome that nobody sent for it, or without its operations";
}

std::string outcome(const Case& of) {
  const SeenClaim* own = own_claim(of);
  if (auto why = token_over(of, own); !why.empty()) return "a completion although " + why;
  bool of_this_node = of.event.go.node == of.event.commit.node;
  // "complete without operations is taken by every node, even before the claim has arrived": also by a later
  // incarnation of the node that gave it, where the claim was lost with the one before.
  bool here = of_this_node && of.giver == of.event.commit.incarnation;
  if (of.event.writes > 0 && !of_this_node)
    return "a completion with operations by another node than gave the go";
  if ((of.event.writes > 0 || here) && own == nullptr && !of.short_lived)
    return "a completion of a claim that is gone";
  if (own != nullptr && own->given->claim.fingerprint != of.event.outcome.fingerprint)
    return "a completion under another payload";
  return content(of, Completion::By::kToken);
}

std::string execution(const Case& of) {
  if (auto why = bound(of, of.event.outcome.fingerprint); !why.empty()) return "an execution although " + why;
  if (auto why = attempt(of, of.event.outcome.attempt); !why.empty()) return why;
  return content(of, Completion::By::kExecute);
}

std::string duplicate(const Case& of) {
  const store::Duplicate& found = of.event.duplicate;
  if (found.loser == found.winner) return "a run that is its own duplicate";
  auto sent = of.history.completions.find(of.row);
  bool ran = sent != of.history.completions.end() &&
             std::ranges::any_of(sent->second,
                                 [&](const Completion& completion) { return completion.go == found.loser; });
  if (!ran) return "a duplicate of a run that nobody said had ended";
  return {};
}

}  // namespace

std::string judge(const RequestEvent& event, const std::string& row, const RequestEvents& before,
                  const History& history, const store::AppliedTable& restored) {
  using Kind = RequestEvent::Kind;
  Journal own{event.commit.node, event.commit.incarnation};
  Had had{event.had, own, Seq{event.commit.seq.value - 1}, restored};
  Case of{event, row, history, had, see(before, had), event.hlc.wall(), is_short_lived(row), {}};
  for (const RequestEvent& given : before) {
    if (given.gives_claim() && given.go == event.go) of.giver = given.commit.incarnation;
  }
  switch (event.kind) {
    case Kind::kGo:
      return go(of);
    case Kind::kRenew:
    case Kind::kRelease:
      return renewal_or_release(of);
    case Kind::kOperatorRelease:
      return word(of);
    case Kind::kResolve: {
      auto why = word(of);
      return why.empty() ? content(of, Completion::By::kOperator) : why;
    }
    case Kind::kOutcome:
      return outcome(of);
    case Kind::kExecute:
      return execution(of);
    case Kind::kDuplicate:
      return duplicate(of);
  }
  return {};
}

}  // namespace refrain::simulation
