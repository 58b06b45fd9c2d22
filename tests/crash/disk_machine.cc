// SPDX-License-Identifier: Apache-2.0
#include "disk_machine.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "store/rocks_engine.h"

namespace refrain::crash {
namespace {

bool is_about_progress(const store::Batch::Change& change) {
  return change.family == store::Family::kDefault &&
         (change.key.starts_with("applied/") || change.key.starts_with("cursor/"));
}

class OverlookedEngine final : public store::Engine {
 public:
  OverlookedEngine(std::unique_ptr<store::Engine> engine, PowerDisk& disk, const Onlooker& onlooker,
                   Sabotage sabotage, bool free_threads)
      : engine_(std::move(engine)),
        disk_(disk),
        onlooker_(onlooker),
        sabotage_(sabotage),
        free_threads_(free_threads) {}
  ~OverlookedEngine() override { disk_.hold(false); }  // a clean stop waits for its flushes

  Result<std::optional<std::string>> get(store::Family family, std::string_view key) const override {
    return engine_->get(family, key);
  }
  std::unique_ptr<store::Cursor> cursor(store::Family family) const override {
    return engine_->cursor(family);
  }
  Result<void> write(const store::Batch& batch, store::Durability durability) override {
    onlooker_.before_write(batch);
    Result<void> written;
    if (sabotage_.split_batch) {
      store::Batch progress;
      store::Batch rest;
      for (const auto& change : batch.changes()) {
        auto& to = is_about_progress(change) ? progress : rest;
        change.value ? to.put(change.family, change.key, *change.value)
                     : to.remove(change.family, change.key);
      }
      if (!progress.empty()) written = engine_->write(progress, durability);
      if (written && !rest.empty()) written = engine_->write(rest, durability);
    } else {
      written = engine_->write(batch, durability);
    }
    if (!free_threads_) disk_.run_jobs();
    return written;
  }
  std::unique_ptr<store::BulkLoad> bulk_load() override { return engine_->bulk_load(); }
  std::unique_ptr<store::View> snapshot() const override { return engine_->snapshot(); }
  Result<void> checkpoint(const std::string& directory) override { return engine_->checkpoint(directory); }
  store::EngineStats stats() const override { return engine_->stats(); }
  void set_now(WallMs now) override { engine_->set_now(now); }

 private:
  std::unique_ptr<store::Engine> engine_;
  PowerDisk& disk_;
  const Onlooker& onlooker_;
  Sabotage sabotage_;
  bool free_threads_;
};

}  // namespace

/// The thread of one start.
class DiskMachine::Hand {
 public:
  Hand() : thread_([this] { work(); }) {}
  ~Hand() {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  Course run(std::function<void()> what, const PowerDisk& disk) {
    std::unique_lock lock(mutex_);
    what_ = std::move(what);
    changed_.notify_all();
    changed_.wait(lock, [this] { return !what_ || stopped_; });
    if (!stopped_) return Course::kDone;
    if (std::exchange(hand_stopped_, false)) return left_behind();
    // A job met the cut. This thread waits for that job, or meets the disk soon, or comes to its end.
    for (int i = 0; i < 1'000 && what_ && !hand_stopped_ && !disk.waits_for_jobs(); ++i)
      changed_.wait_for(lock, std::chrono::milliseconds(1));
    return left_behind();
  }
  /// Called by the thread that met the cut.
  void stopped() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    hand_stopped_ = std::this_thread::get_id() == thread_.get_id();
    changed_.notify_all();
  }

 private:
  Course left_behind() {
    thread_.detach();
    return Course::kCut;
  }
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return what_ || ended_; });
      if (ended_) return;
      auto what = what_;
      lock.unlock();
      what();
      lock.lock();
      what_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> what_;
  bool stopped_ = false;
  bool hand_stopped_ = false;
  bool ended_ = false;
  std::thread thread_;
};

DiskMachine::DiskMachine(node::Config config, simulation::Dice dice, Ties ties, Onlooker onlooker,
                         Sabotage sabotage, std::string root)
    : Machine(0, std::move(config), true, dice, std::move(ties)),
      onlooker_(std::move(onlooker)),
      sabotage_(sabotage),
      root_(std::move(root)) {}

std::string DiskMachine::directory() const {
  return root_ + "/" + std::to_string(disks_) + "/db";
}

void DiskMachine::cut_at(std::uint64_t n) {
  cut_at_ = n;
  if (disk_ != nullptr) disk_->cut_at(n);
}

Result<std::unique_ptr<store::Engine>> DiskMachine::open_engine() {
  store::RocksOptions options;
  options.cache_bytes = 1 << 20;
  options.write_buffer_bytes = 64 << 10;  // RocksDB's least: flushes happen often
  options.max_total_wal_bytes = 256 << 10;
  options.reserve_bytes = 0;
  options.env = disk_->env();
  disk_->hold(!free_threads_);
  auto opened = store::RocksEngine::open(directory(), options);
  if (!opened) {
    disk_->hold(false);
    return opened.error();
  }
  onlooker_.opened(**opened);
  if (!free_threads_) disk_->run_jobs();
  return std::make_unique<OverlookedEngine>(std::move(*opened), *disk_, onlooker_, sabotage_, free_threads_);
}

DiskMachine::Course DiskMachine::run(std::function<void()> what) {
  Course course = hand_->run(std::move(what), *disk_);
  if (course == Course::kCut) {
    [[maybe_unused]] auto* left = end().release();
    hand_ = nullptr;
  }
  return course;
}

DiskMachine::Course DiskMachine::start(Result<void>& started) {
  hand_ = new Hand;
  disk_ = new PowerDisk(directory(), [hand = hand_] { hand->stopped(); });
  disk_->lie_about_syncs(sabotage_.lying_disk);
  disk_->cut_at(cut_at_);
  disk_->cut_at_new_log(cut_at_new_log_);
  return run([&] { started = Machine::start(); });
}

DiskMachine::Course DiskMachine::step() {
  return run([&] { Machine::step(); });
}

DiskMachine::Course DiskMachine::stop() {
  Course course = run([&] { end().reset(); });
  if (course == Course::kCut) return course;
  delete std::exchange(hand_, nullptr);
  delete std::exchange(disk_, nullptr);
  return course;
}

void DiskMachine::cut_now() {
  disk_->cut_now();
  [[maybe_unused]] auto* left = end().release();
  hand_ = nullptr;
}

void DiskMachine::survive(Loss loss, simulation::Dice& dice) {
  ++disks_;
  disk_->survive(directory(), loss, dice);
}

}  // namespace refrain::crash
