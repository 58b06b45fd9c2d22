// SPDX-License-Identifier: Apache-2.0
// Clients' requests: they begin, run, renew, complete and release at whichever node is up, repeat what was
// not answered, die on the way, and call with tokens that are late, of other requests or of other nodes; an
// operator resolves what is unknown. What they are told is judged at once (request_answers.h).
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dice.h"
#include "history.h"
#include "node/node.h"
#include "request_answers.h"

namespace refrain::simulation {

class Machine;
class World;

/// The request namespaces of a world, the same on all nodes.
void configure_requests(node::Config& config);

class RequestClients {
 public:
  explicit RequestClients(World& world);

  /// The next call of this client. `session` is its own, and lives as long as this.
  void call(std::size_t number, Vector& session, Machine& machine);
  void stop();

  /// Asks every node for the response of every request that has completed; answered() when all have answered.
  void ask_for_all();
  bool answered() const { return asked_ == 0; }

 private:
  /// What these worlds are like.
  struct Habits {
    std::vector<std::string> namespaces;
    std::uint64_t ids = 2;          // at a time
    std::int64_t window_ms = 1500;  // how long before they move on
    std::uint64_t calls = 1;        // at once
    double wrong_payload = 0;
    double waits = 0;
    double long_work = 0;
  };
  struct Client {
    std::size_t number = 0;
    Dice dice{0};
    Vector* session = nullptr;
    std::uint64_t calls = 0;
  };
  /// A token that a client holds, with what it sends to complete it.
  struct Held {
    std::string ns;
    std::string id;
    std::string token;
    store::GoId go;
    std::size_t giver = 0;
    Completion completion;
  };
  using HeldPtr = std::shared_ptr<const Held>;

  Habits draw_habits();
  Client& client_of(std::size_t number, Vector& session);
  Machine* other_machine(Client& client, const Machine& than);
  std::pair<std::string, std::string> pick(Client& client);

  void begin(Client& client, Machine& machine);
  void send(Client& client, Machine& machine, node::BeginCall call, int more_tries);
  void execute(Client& client, Machine& machine);
  void resolve(Client& client, Machine& machine);
  void look(Client& client, Machine& machine);
  void misuse(Client& client, Machine& machine);

  void run(Client& client, Machine& machine, const node::BeginCall& call, const std::string& token,
           const std::string& fencing);
  void renew_at(Client& client, const HeldPtr& held, Milliseconds pause);
  void end(Client& client, const HeldPtr& held);
  Completion completion_of(Client& client, const std::string& ns, const std::string& id);
  void complete(Client& client, Machine& machine, const HeldPtr& held, const Completion& completion,
                int more_tries);
  void send_complete(Client& client, Machine& machine, const SentToken& token, const std::string& text,
                     const Completion& completion, std::function<void(bool)> done);
  void renew(Machine& machine, const SentToken& token, const std::string& text, std::optional<Milliseconds>);
  void release(Machine& machine, const SentToken& token, const std::string& text);
  std::string unique(Client& client);

  World& world_;
  RequestAnswers answers_;
  Dice dice_;
  const Habits habits_;
  bool stopped_ = false;
  std::map<std::size_t, Client> clients_;
  std::deque<HeldPtr> tokens_;                               // the newest ever given
  std::vector<std::shared_ptr<std::atomic<bool>>> waiting_;  // set: the caller is gone
  std::size_t asked_ = 0;
};

}  // namespace refrain::simulation
