// SPDX-License-Identifier: Apache-2.0
// The numbers of what stands in a data directory (its file FORMAT) and in a snapshot, from one release to the
// next.
#pragma once
#include <cstdint>

namespace refrain::store {

/// Of the rows in a data directory.
struct StoreFormat {
  std::uint32_t number = 1;
  std::uint32_t oldest_reader = 1;  // the oldest number whose program reads them
  bool operator==(const StoreFormat&) const = default;
};

/// What a program makes of a data directory. It opens those of the release before as they are, and writes
/// what that release reads, until upgrade() takes the step that cannot be taken back. Tests pass other
/// numbers.
struct StoreProgram {
  StoreFormat newest;            // of new directories, and after upgrade()
  std::uint32_t opens_from = 1;  // the oldest number that it opens
};
inline constexpr StoreProgram kStoreProgram{};

}  // namespace refrain::store
