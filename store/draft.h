// SPDX-License-Identifier: Apache-2.0
// A batch in the making that can be read: what was changed in it is seen, everything else comes from the
// engine. Several commits are decided into one draft before one write, so each sees those before it.
#pragma once
#include <algorithm>
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/engine.h"

namespace refrain::store {

/// One thread. The view must outlive it, and change only by this draft's own batch until take() or clear().
class Draft {
 public:
  explicit Draft(const View& view) : view_(view) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  /// As View::get, with the changes of this draft on top.
  Result<std::optional<std::string>> get(Family family, std::string_view key) const {
    const Index& index = of(family);
    if (auto found = index.find(key); found != index.end()) return found->second->value;
    // What a call decides by is read again when its commit is performed.
    if (family != Family::kKv && family != Family::kRequests) return view_.get(family, key);
    auto row = engine_row(family, key);
    if (!row) return row.error();
    return **row;
  }
  template <class Key>  // a string, which is taken over, or what one can be made of
  void put(Family family, Key&& key, std::string value) {
    std::string name(std::forward<Key>(key));
    bytes_ += name.size() + value.size();
    change(family, std::move(name)) = std::move(value);
  }
  void remove(Family family, std::string_view key) {
    bytes_ += key.size();
    change(family, std::string(key)) = std::nullopt;
  }

  /// Every change once, the last one of each key, by family and in order of key: cheap to insert where rows
  /// stand sorted, and the same batch in every run. The draft is empty after it.
  Batch take() {
    std::vector<Batch::Change*> sorted;
    sorted.reserve(changes_.size());
    for (Batch::Change& change : changes_) sorted.push_back(&change);
    std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
      return a->family != b->family ? a->family < b->family : a->key < b->key;
    });
    Batch out;
    for (Batch::Change* change : sorted) {
      if (change->value) {
        out.put(change->family, std::move(change->key), std::move(*change->value));
      } else {
        out.remove(change->family, std::move(change->key));
      }
    }
    clear();
    return out;
  }

  /// Each changed row of kv or requests once, in any order: its key, what the engine has of it and what this
  /// draft makes of it (null = no such row). Stops at the first error, of reading or of `look`.
  template <class Look>
  Result<void> each_change(Family family, Look look) const {
    for (const auto& [key, change] : of(family)) {
      auto before = engine_row(family, key);
      if (!before) return before.error();
      if (auto looked = look(key, pointer(**before), pointer(change->value)); !looked) return looked;
    }
    return {};
  }

  bool empty() const { return changes_.empty(); }
  std::size_t bytes() const { return bytes_; }
  const View& view() const { return view_; }
  void clear() {
    for (Index& index : index_) index.clear();
    changes_.clear();
    bytes_ = 0;
    read_.kv.clear();
    read_.requests.clear();
    read_.rows.clear();
  }

 private:
  /// By key; the keys are those of the changes, which stay where they are.
  using Index = boost::unordered_flat_map<std::string_view, Batch::Change*>;

  const Index& of(Family family) const { return index_[static_cast<std::size_t>(family)]; }
  static const std::string* pointer(const std::optional<std::string>& row) { return row ? &*row : nullptr; }

  /// Of kv or requests, as it was before this draft.
  Result<const std::optional<std::string>*> engine_row(Family family, std::string_view key) const {
    Index& known = family == Family::kKv ? read_.kv : read_.requests;
    if (auto found = known.find(key); found != known.end()) return &found->second->value;
    auto value = view_.get(family, key);
    if (!value) return value.error();
    Batch::Change& row = read_.rows.emplace_back(Batch::Change{family, std::string(key), std::move(*value)});
    known.emplace(row.key, &row);
    return &row.value;
  }

  std::optional<std::string>& change(Family family, std::string key) {
    Index& index = index_[static_cast<std::size_t>(family)];
    if (auto found = index.find(key); found != index.end()) return found->second->value;
    Batch::Change& fresh = changes_.emplace_back(Batch::Change{family, std::move(key), std::nullopt});
    index.emplace(fresh.key, &fresh);
    return fresh.value;
  }

  const View& view_;
  std::deque<Batch::Change> changes_;
  std::array<Index, kFamilies> index_;
  std::size_t bytes_ = 0;

  /// Rows as the engine has them, read for this draft. Nobody else writes while it is open.
  struct Read {
    std::deque<Batch::Change> rows;
    Index kv;
    Index requests;
  };
  mutable Read read_;
};

}  // namespace refrain::store
