// SPDX-License-Identifier: Apache-2.0
// A batch in the making that can be read: what was changed in it is seen, everything else comes from the
// engine. Several commits are decided into one draft before one write, so each sees those before it.
#pragma once
#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "store/engine.h"

namespace refrain::store {

/// One thread. The view must outlive it.
class Draft {
 public:
  explicit Draft(const View& view) : view_(view) {}

  /// As View::get, with the changes of this draft on top.
  Result<std::optional<std::string>> get(Family family, std::string_view key) const {
    const Changes& changes = of(family);
    if (auto found = changes.find(key); found != changes.end()) return found->second;
    return view_.get(family, key);
  }
  void put(Family family, std::string_view key, std::string value) {
    bytes_ += key.size() + value.size();
    change(family, key) = std::move(value);
  }
  void remove(Family family, std::string_view key) {
    bytes_ += key.size();
    change(family, key) = std::nullopt;
  }

  /// Every change once, the last one of each key, in order of key: cheap to insert where rows stand sorted,
  /// and the same batch in every run. The draft is empty after it.
  Batch take() {
    Batch out;
    std::vector<Changes::node_type> sorted;
    for (std::size_t i = 0; i < kFamilies; ++i) {
      sorted.clear();
      while (!changes_[i].empty()) sorted.push_back(changes_[i].extract(changes_[i].begin()));
      std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.key() < b.key(); });
      for (auto& change : sorted) {
        if (change.mapped()) {
          out.put(static_cast<Family>(i), std::move(change.key()), std::move(*change.mapped()));
        } else {
          out.remove(static_cast<Family>(i), std::move(change.key()));
        }
      }
    }
    bytes_ = 0;
    return out;
  }
  Batch batch() const { return Draft(*this).take(); }

  bool empty() const { return bytes_ == 0; }
  std::size_t bytes() const { return bytes_; }
  const View& view() const { return view_; }
  void clear() {
    for (Changes& changes : changes_) changes.clear();
    bytes_ = 0;
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using Changes = std::unordered_map<std::string, std::optional<std::string>, Hash, std::equal_to<>>;

  const Changes& of(Family family) const { return changes_[static_cast<std::size_t>(family)]; }
  std::optional<std::string>& change(Family family, std::string_view key) {
    Changes& changes = changes_[static_cast<std::size_t>(family)];
    auto found = changes.find(key);
    return found != changes.end() ? found->second
                                  : changes.emplace(std::string(key), std::nullopt).first->second;
  }

  const View& view_;
  std::array<Changes, kFamilies> changes_;
  std::size_t bytes_ = 0;
};

}  // namespace refrain::store
