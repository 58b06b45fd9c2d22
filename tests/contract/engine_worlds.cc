// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "store/rocks_engine.h"
#include "store/sim_engine.h"
#include "tests/contract/engine_world.h"

namespace refrain::store {
namespace {

namespace fs = std::filesystem;

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().detail.c_str());
  std::abort();
}

RocksOptions small() {
  RocksOptions options;
  options.cache_bytes = 8 << 20;
  options.write_buffer_bytes = 4 << 20;
  options.reserve_bytes = 0;
  return options;
}

class RocksWorld final : public EngineWorld {
 public:
  RocksWorld() { open(); }
  Engine& engine() override { return *engine_; }
  void reopen() override {
    engine_.reset();
    open();
  }
  /// What a killed process leaves is what stands in its files at that moment.
  void crash() override {
    std::string killed = new_directory();
    fs::copy(directory_, killed, fs::copy_options::recursive);
    engine_.reset();
    directory_ = killed;
    open();
  }
  std::string new_directory() override { return root_.path() + "/" + std::to_string(++count_); }
  std::unique_ptr<Engine> open_checkpoint(const std::string& directory) override {
    return must(RocksEngine::open(directory, small()));
  }
  void compact(WallMs now) override {
    engine_->set_now(now);
    if (!engine_->compact()) std::abort();
  }

 private:
  void open() { engine_ = must(RocksEngine::open(directory_, small())); }
  TemporaryDirectory root_;
  int count_ = 0;
  std::string directory_ = root_.path() + "/0";
  std::unique_ptr<RocksEngine> engine_;
};

class SimWorld final : public EngineWorld {
 public:
  SimWorld() { open(); }
  Engine& engine() override { return *engine_; }
  void reopen() override {
    engine_.reset();
    open();
  }
  void crash() override {
    disk_.crash();
    engine_.reset();
    open();
  }
  std::string new_directory() override { return std::to_string(++count_); }
  std::unique_ptr<Engine> open_checkpoint(const std::string& directory) override {
    copies_.push_back(std::move(*SimEngine::open_checkpoint(disk_, directory)));
    return must(SimEngine::open(copies_.back()));
  }
  void compact(WallMs now) override { disk_.compact(now); }

 private:
  void open() { engine_ = must(SimEngine::open(disk_)); }
  SimDisk disk_;
  std::vector<SimDisk> copies_;
  int count_ = 0;
  std::unique_ptr<SimEngine> engine_;
};

}  // namespace

std::unique_ptr<EngineWorld> make_rocks_world() {
  return std::make_unique<RocksWorld>();
}
std::unique_ptr<EngineWorld> make_sim_world() {
  return std::make_unique<SimWorld>();
}

}  // namespace refrain::store
