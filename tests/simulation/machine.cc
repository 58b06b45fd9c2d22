// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "watched_engine.h"

namespace refrain::simulation {

Machine::Machine(std::size_t index, node::Config config, bool founder, Dice dice, Ties ties)
    : index_(index),
      config_(std::move(config)),
      founder_(founder),
      dice_(dice),
      ties_(std::move(ties)),
      clock_(ties_.now) {
  if (!config_.alone()) log_ = std::make_unique<replication::MemoryLog>(ties_.broker, [this] { wake(); });
}

Result<std::unique_ptr<store::Engine>> Machine::open_engine() {
  auto opened = store::SimEngine::open(disk_);
  if (!opened) return opened.error();
  ties_.opened(**opened);
  auto watcher = [this](const store::Batch&, store::Durability, const Result<void>& written,
                        const store::View& view) {
    if (written) ties_.looked(view);
  };
  return std::make_unique<WatchedEngine>(std::move(*opened), watcher);
}

std::optional<store::SimDisk> Machine::copy_store() {
  bool is_read = up() && node_->get("any", "any").has_value();
  return is_read ? std::optional(disk_.copy()) : std::nullopt;
}

void Machine::begin_again(store::SimDisk disk, node::Config config, bool founder) {
  lose_disk();
  disk_ = std::move(disk);
  config_ = std::move(config);
  founder_ = founder;
}

Result<void> Machine::start() {
  ++life_;
  node::World world;
  world.clock = &clock_;
  world.random = &dice_;
  world.open_engine = [this] { return open_engine(); };
  world.disk_free_bytes = [this] { return disk_full_ ? std::uint64_t{0} : std::uint64_t{1} << 40; };
  world.log = config_.alone() ? nullptr : log_.get();
  world.peers = ties_.peers;
  world.wake = [this] { wake(); };
  world.say = [this](node::LogLevel, const std::string& text) {
    ties_.say(fmt::format("{} says: {}", name(), text));
  };
  auto opened =
      node::Node::open(config_, world, {founder_, "simulated", Milliseconds{2'000}, Milliseconds{2'000}});
  if (!opened) return opened.error();
  node_ = std::move(*opened);
  steps_at_ = ties_.now;
  paused_until_ = {};
  return {};
}

void Machine::crash() {
  disk_.crash();  // first: what the node still does while it is destroyed reaches no disk
  end();
}

void Machine::power_cut(std::size_t keep) {
  disk_.power_cut(keep);
  end();
}

void Machine::lose_disk() {
  disk_.crash();
  end();
  disk_.wipe();
  founder_ = false;
}

void Machine::set_disk_full(bool full) {
  disk_full_ = full;
  disk_.set_disk_full(full);
}

void Machine::step() {
  woken_ = false;
  Nanoseconds idle = node_->step();
  // Never at the same instant again: a step takes time.
  Nanoseconds least{dice_.between(10'000, 400'000)};
  if (ties_.now < slow_until_) least += Milliseconds{dice_.between(0, slow_most_.count())};
  busy_until_ = ties_.now + least;
  steps_at_ = ties_.now + (woken_ ? least : std::max(idle, least));
}

void Machine::wake() {
  woken_ = true;
  if (!node_ || ties_.now < paused_until_) return;
  steps_at_ =
      std::min(steps_at_, std::max(busy_until_, ties_.now + Nanoseconds{dice_.between(10'000, 5'000'000)}));
}

}  // namespace refrain::simulation
