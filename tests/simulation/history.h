// SPDX-License-Identifier: Apache-2.0
// What clients sent and were told. An answer that never came is not in it: it may have happened.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/types.h"
#include "node/node.h"
#include "store/operations.h"

namespace refrain::simulation {

struct ToldCommit {
  CommitId commit;
  Version version;
  std::set<std::string> rows;  // ns 0x00 key
};

/// A completion as it was sent: whoever sends the same again sends the same object.
struct Completion {
  enum class By : std::uint8_t { kToken, kExecute, kOperator };
  By by = By::kToken;
  std::string row;  // ns 0x00 id
  store::GoId go;   // of the token
  std::optional<node::StoredResponse> response;
  bool too_large = false;
  std::vector<node::Write> writes;
};

/// A token refused because another run was given a go or has completed: it ran twice.
struct RefusedRun {
  std::string row;
  store::GoId go;
};

/// An acknowledged commit, and who was said to have it.
struct ToldHolders {
  CommitId commit;
  std::vector<Journal> holders;
};

/// A go that was given before something that its node was to read first, of a journal that was over or about
/// to be. Wrong where that did not become void.
struct EarlyGo {
  std::string what;
  Journal journal;
  Seq had;
  Seq asked;  // the journal's end at the node's start
};

struct History {
  std::vector<ToldCommit> commits;
  std::map<std::pair<NodeName, std::string>, CommitId> keyed;  // by node and Idempotency-Key
  std::map<std::string, std::vector<Completion>> completions;  // by request
  std::map<std::string, Sha256> requests;  // every id that was begun, with the payload it should have
  std::map<std::string, int> sends;        // by body: how often that completion was sent
  std::vector<RefusedRun> refused;
  std::vector<CommitId> decided;  // acknowledged decisions about requests
  std::vector<ToldHolders> holders;
  std::vector<EarlyGo> early_gos;
  std::map<CommitId, std::string> not_read;      // by a node that was over and never gets it
  std::map<CommitId, std::string> must_be_void;  // and who acted on that
};

}  // namespace refrain::simulation
