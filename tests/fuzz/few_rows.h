// SPDX-License-Identifier: Apache-2.0
// An engine of a handful of rows: made and gone in a microsecond, which the simulator's is not.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/engine.h"

namespace refrain::fuzz {

class FewRows final : public store::Engine {
 public:
  using Family = store::Family;

  void put(Family family, std::string key, std::string value) {
    remove(family, key);
    auto place = std::find_if(rows_.begin(), rows_.end(), [&](const Row& row) {
      return std::tie(family, key) < std::tie(row.family, row.key);
    });
    rows_.insert(place, {family, std::move(key), std::move(value)});
  }
  void remove(Family family, std::string_view key) {
    std::erase_if(rows_, [&](const Row& row) { return row.family == family && row.key == key; });
  }
  void take(const store::Batch& batch) {
    for (const auto& change : batch.changes()) {
      if (change.value) {
        put(change.family, change.key, *change.value);
      } else {
        remove(change.family, change.key);
      }
    }
  }
  std::size_t size() const { return rows_.size(); }

  Result<std::optional<std::string>> get(Family family, std::string_view key) const override {
    for (const Row& row : rows_) {
      if (row.family == family && row.key == key) return std::optional(row.value);
    }
    return std::optional<std::string>();
  }
  std::unique_ptr<store::Cursor> cursor(Family family) const override {
    return std::make_unique<Walk>(rows_, family);
  }
  Result<void> write(const store::Batch& batch, store::Durability) override {
    take(batch);
    return {};
  }
  std::unique_ptr<store::View> snapshot() const override { return std::make_unique<FewRows>(*this); }
  Result<void> checkpoint(const std::string&) override { return {}; }
  store::EngineStats stats() const override { return {}; }

 private:
  struct Row {
    Family family;
    std::string key;
    std::string value;
  };
  class Walk final : public store::Cursor {
   public:
    Walk(const std::vector<Row>& rows, Family family) : rows_(rows), family_(family), at_(rows.size()) {}
    void seek(std::string_view key) override {
      at_ = 0;
      while (at_ < rows_.size() &&
             std::pair(rows_[at_].family, std::string_view(rows_[at_].key)) < std::pair(family_, key))
        ++at_;
    }
    void next() override { ++at_; }
    bool valid() const override { return at_ < rows_.size() && rows_[at_].family == family_; }
    std::string_view key() const override { return rows_.at(at_).key; }
    std::string_view value() const override { return rows_.at(at_).value; }
    Result<void> status() const override { return {}; }

   private:
    const std::vector<Row>& rows_;
    Family family_;
    std::size_t at_;
  };
  std::vector<Row> rows_;  // by family, then key
};

}  // namespace refrain::fuzz
