// SPDX-License-Identifier: Apache-2.0
// An engine that tells a watcher after each write, also after one that failed.
#pragma once
#include <functional>
#include <memory>
#include <utility>

#include "store/engine.h"

namespace refrain::simulation {

class WatchedEngine final : public store::Engine {
 public:
  using Watcher =
      std::function<void(const store::Batch&, store::Durability, const Result<void>&, const store::View&)>;
  WatchedEngine(std::unique_ptr<store::Engine> engine, Watcher watcher)
      : engine_(std::move(engine)), watcher_(std::move(watcher)) {}

  Result<std::optional<std::string>> get(store::Family family, std::string_view key) const override {
    return engine_->get(family, key);
  }
  std::unique_ptr<store::Cursor> cursor(store::Family family) const override {
    return engine_->cursor(family);
  }
  Result<void> write(const store::Batch& batch, store::Durability durability) override {
    auto written = engine_->write(batch, durability);
    watcher_(batch, durability, written, *engine_);
    return written;
  }
  std::unique_ptr<store::BulkLoad> bulk_load() override { return engine_->bulk_load(); }
  std::unique_ptr<store::View> snapshot() const override { return engine_->snapshot(); }
  Result<void> checkpoint(const std::string& directory) override { return engine_->checkpoint(directory); }
  store::EngineStats stats() const override { return engine_->stats(); }

 private:
  std::unique_ptr<store::Engine> engine_;
  Watcher watcher_;
};

}  // namespace refrain::simulation
