// SPDX-License-Identifier: Apache-2.0
#include "store/sim_state.h"

namespace refrain::store {

const std::optional<std::string>* SimDiskState::find(Family family, std::string_view key,
                                                     std::uint64_t when) const {
  const SimRows& map = rows[static_cast<std::size_t>(family)];
  auto found = map.find(key);
  if (found == map.end()) return nullptr;
  const std::optional<std::string>* value = found->second->at(when);
  return value != nullptr && value->has_value() ? value : nullptr;
}

void SimDiskState::set(Family family, const std::string& key, std::optional<std::string> value) {
  SimRows& map = rows[static_cast<std::size_t>(family)];
  auto entry = map.try_emplace(key).first;
  std::unique_ptr<SimCell>& head = entry->second;
  if (head && head->value) live_bytes -= key.size() + head->value->size();
  if (value) live_bytes += key.size() + value->size();
  if (!readers.empty()) {
    auto cell = std::make_unique<SimCell>(version, std::move(value), std::move(head));
    head = std::move(cell);
    stale.emplace_back(family, key);
  } else if (value) {
    head = std::make_unique<SimCell>(version, std::move(value), nullptr);
  } else {
    map.erase(entry);
  }
}

void SimDiskState::apply(const Batch& batch, bool keep_undo) {
  std::vector<Batch::Change> before;
  version += 1;
  for (const Batch::Change& change : batch.changes()) {
    if (keep_undo) {
      const std::optional<std::string>* old = find(change.family, change.key, version);
      before.push_back({change.family, change.key, old == nullptr ? std::nullopt : *old});
    }
    set(change.family, change.key, change.value);
  }
  if (keep_undo) {
    undo.push_back(std::move(before));
  } else {
    undo.clear();  // a sync makes everything before it durable too
  }
}

void SimDiskState::undo_last() {
  std::vector<Batch::Change> before = std::move(undo.back());
  undo.pop_back();
  version += 1;
  for (auto change = before.rbegin(); change != before.rend(); ++change) {
    set(change->family, change->key, std::move(change->value));
  }
}

void SimDiskState::apply_torn() {
  if (!torn) return;
  Batch batch = std::move(*torn);
  torn.reset();
  apply(batch, true);
}

void SimDiskState::end_life() {
  life += 1;
  open = false;
  broken = false;
  next_fault.reset();
}

void SimDiskState::remove_reader(std::uint64_t when) {
  readers.erase(readers.find(when));
  if (!readers.empty() && stale.size() < 4096) return;
  std::vector<std::pair<Family, std::string>> keys = std::move(stale);
  stale.clear();
  for (const auto& [family, key] : keys) trim(family, key);
}

/// Lets go of what nobody reads any more.
void SimDiskState::trim(Family family, const std::string& key) {
  SimRows& map = rows[static_cast<std::size_t>(family)];
  auto entry = map.find(key);
  if (entry == map.end()) return;
  std::uint64_t oldest = readers.empty() ? version : *readers.begin();
  SimCell* cell = entry->second.get();
  while (cell->version > oldest && cell->older) cell = cell->older.get();
  if (cell->version <= oldest) cell->older.reset();
  if (entry->second->older) {
    stale.emplace_back(family, key);
  } else if (!entry->second->value && entry->second->version <= oldest) {
    map.erase(entry);
  }
}

std::map<std::string, std::string> SimDiskState::copy(Family family) const {
  std::map<std::string, std::string> out;
  for (const auto& [key, cell] : rows[static_cast<std::size_t>(family)]) {
    if (cell->value) out.emplace_hint(out.end(), key, *cell->value);
  }
  return out;
}

SimCopy SimDiskState::copy() const {
  SimCopy out;
  for (std::size_t i = 0; i < kFamilies; ++i) out[i] = copy(static_cast<Family>(i));
  return out;
}

}  // namespace refrain::store
