// SPDX-License-Identifier: Apache-2.0
// Clients of a world: they write, read and run requests at whichever node is up, carry their session from
// node to node, and write down what they are told. What is wrong at once (a read older than what was seen
// before) they say at once.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "dice.h"
#include "node/node.h"
#include "request_clients.h"

namespace refrain::simulation {

class Machine;
class World;

class Clients {
 public:
  explicit Clients(World& world);
  void start();
  void stop() {
    stopped_ = true;
    requests_.stop();
  }
  void ask_for_responses() { requests_.ask_for_all(); }
  bool answered() const { return requests_.answered(); }

 private:
  struct Client {
    std::size_t number = 0;
    Dice dice{0};
    Vector session;
    std::map<std::string, Version> seen;  // newest version of each row that was read or written
    std::uint64_t calls = 0;
  };

  void call_soon(Client& client);
  void call(Client& client);
  Machine* any_machine(Client& client);

  void write(Client& client, Machine& machine);
  void send(Client& client, Machine& machine, node::CommitCall call);
  void check_conditions(Machine& machine, const std::vector<node::Write>& writes, const CommitId& id);
  void check_keyed(Machine& machine, const std::string& key, const node::CommitAnswer& answer);
  void inspect(Client& client, Machine& machine);
  void resolve_conflict(Client& client, Machine& machine);
  void scan(Client& client, Machine& machine);
  node::Write one_write(Client& client, const std::string& key);
  void told(Client& client, Machine& machine, const std::vector<node::Write>& writes,
            Result<node::CommitAnswer> answer);
  void read(Client& client, Machine& machine);
  void check_read(Client& client, Machine& machine, const std::string& key,
                  const std::optional<Version>& before, const std::optional<Version>& got);
  void note_error(const char* call, const Error& error);
  std::string unique(Client& client);

  World& world_;
  RequestClients requests_;
  bool stopped_ = false;
  std::vector<Client> clients_;
};

}  // namespace refrain::simulation
