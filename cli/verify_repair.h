// SPDX-License-Identifier: Apache-2.0
// Writes what the members should have of a key that differs once more, as a new commit by an ordinary call.
#pragma once
#include <string>

#include "cli/verify.h"

namespace refrain::cli {

struct Repaired {
  std::string node;     // where it was written
  std::string version;  // of the new commit; empty = nothing was written
  std::string note;     // what is left to do
  bool done() const { return !version.empty() && note.empty(); }
};

/// The winner is the larger version; a member whose digest does not fit its rows gives none where another
/// does (ComparedMember::counted must be there). The write asks for the version that was seen, so nothing
/// newer is lost, and waits until all members have it.
Repaired repair(std::vector<ComparedMember*> compared, const ComparedKey& key);

}  // namespace refrain::cli
