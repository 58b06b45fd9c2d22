// SPDX-License-Identifier: Apache-2.0
// Judges what a client is told about a request, as soon as it is told, by the truth: is it so at this node?
// An answer that says "nothing happened, call again" is always fine.
#pragma once
#include <optional>
#include <set>
#include <string>

#include "history.h"
#include "node/node.h"
#include "request_truth.h"

namespace refrain::simulation {

class Machine;

struct SentBegin {
  std::string row;
  node::BeginCall call;
};
/// A call with a token that names it: of this request, or one of another, by mistake.
struct SentToken {
  std::string row;
  store::GoId go;
  bool foreign = false;
};

class RequestAnswers {
 public:
  explicit RequestAnswers(World& world) : world_(world) {}

  void began(Machine& machine, const SentBegin& sent, const Result<node::BeginAnswer>& answer);
  void completed(Machine& machine, const SentToken& token, const Completion& sent,
                 const Result<node::CompleteAnswer>& answer);
  void executed(Machine& machine, const Completion& sent, const Sha256& fingerprint, const Vector& seen,
                const Result<node::CompleteAnswer>& answer);
  void renewed(Machine& machine, const SentToken& token, const Result<node::RenewAnswer>& answer);
  void released(Machine& machine, const SentToken& token, const Result<node::ReleaseAnswer>& answer);
  void resolved(Machine& machine, const Completion& sent, bool complete,
                const Result<node::CompleteAnswer>& answer);
  /// Asks the node at once how it stands with a request.
  void look(Machine& machine, const std::string& row);

 private:
  /// As the node had it when it decided: between its newest batch and the one before.
  struct Sight {
    SeenRow now;
    SeenRow before;
    WallMs least_time;
  };
  Sight sight(Machine& machine, const std::string& row);
  void wrong(Machine& machine, const std::string& row, const std::string& what);
  bool noted(const char* call, Machine& machine, const std::string& row, const Error& error);
  bool is_over_and_had(const Version& version, Machine& machine);
  void session(Machine& machine, const std::string& row, const Vector& session);
  void go(Machine& machine, const SentBegin& sent, const node::BeginAnswer& answer);
  void count_takeovers(const RequestEvent& go, const std::string& row);
  void replay(Machine& machine, const std::string& row, const node::StoredResponse& response);
  void refused_begin(Machine& machine, const std::string& row, const Sha256& fingerprint, const Error& error);
  void payload(Machine& machine, const std::string& row, const Sha256& fingerprint, const Sight& sight);
  void refused_token(Machine& machine, const SentToken& token, const Error& error);
  void nothing_of(Machine& machine, const Completion& sent);

  World& world_;
  std::set<Version> gos_;  // that were told
};

}  // namespace refrain::simulation
