// SPDX-License-Identifier: Apache-2.0
#include "store/engine.h"

#include <array>

namespace refrain::store {

std::string_view family_name(Family family) {
  static constexpr std::array<std::string_view, kFamilies> kNames = {
      "default", "kv", "requests", "open", "responses", "outbox", "conflicts", "duplicates", "aside"};
  return kNames[static_cast<std::size_t>(family)];
}

std::optional<Family> family_of(std::string_view name) {
  for (std::size_t i = 0; i < kFamilies; ++i) {
    if (family_name(static_cast<Family>(i)) == name) return static_cast<Family>(i);
  }
  return std::nullopt;
}

namespace {

class LoadByBatches final : public BulkLoad {
 public:
  explicit LoadByBatches(Engine& engine) : engine_(engine) {}
  Result<void> add(Family family, std::string_view key, std::string_view value) override {
    if (auto next = order_.take(family, key); !next) return next;
    batch_.put(family, std::string(key), std::string(value));
    return batch_.bytes() < kBatchBytes ? Result<void>() : finish();
  }
  Result<void> finish() override {
    auto written = engine_.write(batch_, Durability::kBuffered);
    batch_.clear();
    return written;
  }

 private:
  static constexpr std::size_t kBatchBytes = 256 * 1024;
  Engine& engine_;
  RowOrder order_;
  Batch batch_;
};

}  // namespace

Result<void> RowOrder::take(Family family, std::string_view key) {
  bool behind = !any_ || family > family_ || (family == family_ && key > key_);
  if (!behind) return invalid("invalid", "The rows do not come in the order of their keys.");
  any_ = true;
  family_ = family;
  key_ = key;
  return {};
}

std::unique_ptr<BulkLoad> Engine::bulk_load() {
  return std::make_unique<LoadByBatches>(*this);
}

}  // namespace refrain::store
