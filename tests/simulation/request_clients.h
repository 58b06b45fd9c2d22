// SPDX-License-Identifier: Apache-2.0
// Clients' requests: begin, run, complete, release, at whichever node is up. What they are told is written
// down in the history.
#pragma once
#include <map>
#include <string>

#include "dice.h"
#include "node/node.h"

namespace refrain::simulation {

class Machine;
class World;

/// The request namespaces of a world, the same on all nodes.
void configure_requests(node::Config& config);

class RequestClients {
 public:
  explicit RequestClients(World& world) : world_(world) {}

  /// The next call of this client. `session` is its own, and lives as long as this.
  void call(std::size_t number, Vector& session, Machine& machine);
  void stop() { stopped_ = true; }

 private:
  struct Client {
    std::size_t number = 0;
    Dice dice{0};
    Vector* session = nullptr;
    std::uint64_t calls = 0;
  };

  Client& client_of(std::size_t number, Vector& session);
  void begin(Client& client, Machine& machine);
  void run(Client& client, Machine& machine, const std::string& ns, const std::string& id,
           const std::string& token);
  void complete(Client& client, Machine& machine, const std::string& ns, const std::string& id,
                const std::string& token);
  void note_error(const char* call, const Error& error);
  std::string unique(Client& client);

  World& world_;
  bool stopped_ = false;
  std::map<std::size_t, Client> clients_;
};

}  // namespace refrain::simulation
