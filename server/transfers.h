// SPDX-License-Identifier: Apache-2.0
// HTTP GETs by libcurl on one background thread, so that whoever asks never blocks. Memory is bounded: a
// transfer whose bytes nobody takes is paused. The only file of the server that knows libcurl is
// transfers.cc.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace refrain::server {

/// Header of a snapshot: about how many rows come.
inline constexpr const char* kSnapshotRows = "Refrain-Snapshot-Rows";

/// One GET. What stands under the mutex is shared between the thread and whoever asked.
struct Transfer {
  std::string url;
  Milliseconds limit{0};       // for all of it; 0 = as long as bytes come
  std::size_t most_bytes = 0;  // held at a time; a whole answer that is larger fails

  std::mutex mutex;
  std::string bytes;       // come and not yet taken
  std::uint64_t rows = 0;  // that are to come, where the answer says so
  bool paused = false;
  bool ended = false;
  std::optional<Error> error;  // with ended

  std::atomic<bool> abandoned{false};
};

class Transfers {
 public:
  explicit Transfers(const std::string& agent);  // what it calls itself: "refrain/eu"
  ~Transfers();                                  // ends all transfers and the thread
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;

  void start(std::shared_ptr<Transfer> transfer);  // any thread
  void wake();                                     // something was taken or abandoned; any thread

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace refrain::server
