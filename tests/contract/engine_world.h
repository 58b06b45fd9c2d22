// SPDX-License-Identifier: Apache-2.0
// One engine and the disk below it, for the suite that both engines pass.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "store/engine.h"

namespace refrain::store {

class EngineWorld {
 public:
  virtual ~EngineWorld() = default;
  virtual Engine& engine() = 0;
  virtual void reopen() = 0;                // closes it and opens it again
  virtual void crash() = 0;                 // the process ends without a close; the machine stays
  virtual std::string new_directory() = 0;  // a path where nothing is
  virtual std::unique_ptr<Engine> open_checkpoint(const std::string& directory) = 0;
  virtual void compact(WallMs now) = 0;
};

std::unique_ptr<EngineWorld> make_rocks_world();
std::unique_ptr<EngineWorld> make_sim_world();

/// A directory of its own that goes with it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "refrain-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace refrain::store
