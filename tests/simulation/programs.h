// SPDX-License-Identifier: Apache-2.0
// The program of this release, and one that pretends to be the next: the same code, which announces, reads
// and writes one format more. What it writes in that is the same bytes, for newer readers.
#pragma once
#include <string>

#include "node/reports.h"
#include "replication/formats.h"

namespace refrain::simulation {

inline constexpr replication::Formats kThisProgram = replication::kFormats;
inline constexpr replication::Formats kNextProgram{replication::kFormats.min, replication::kFormats.max + 1};

/// Parked for what only the next program reads. A flipped bit makes another format of a record's first byte,
/// which no program writes.
inline bool needs_next_program(const node::ParkedReport& parked) {
  return parked.reason == "newer_format" && parked.detail.find("record format") == std::string::npos;
}

}  // namespace refrain::simulation
