// SPDX-License-Identifier: Apache-2.0
#include "forgetting.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "store/kv.h"
#include "store/meta.h"
#include "world.h"

namespace refrain::simulation {
namespace {

constexpr Milliseconds kLookAtRows{500};
constexpr Milliseconds kLongStand{3'000};

std::string readable(const std::string& row) {
  return row.substr(0, row.find('\0')) + "/" + row.substr(row.find('\0') + 1);
}

std::map<std::string, store::KvRecord> rows_of(const store::View& view) {
  std::map<std::string, store::KvRecord> rows;
  auto cursor = view.cursor(store::Family::kKv);
  for (cursor->seek(""); cursor->valid(); cursor->next()) {
    if (auto record = store::decode_kv(cursor->value())) rows.emplace(cursor->key(), std::move(*record));
  }
  return rows;
}

bool says(const store::KvRecord& record, const Version& version, const GhostWrite& write) {
  return record.version == version && record.deleted == !write.value &&
         record.expires_at == write.expires_at && record.value == write.value.value_or("");
}

/// Nothing of it is visible to anybody whose time has passed this.
bool is_over(const GhostWrite& write, WallMs now) {
  return !write.value || (write.expires_at && *write.expires_at <= now);
}

store::Context above(const store::Context& ctx, Hlc floor) {
  store::Context left;
  for (const auto& [node, hlc] : ctx) {
    if (hlc > floor) left.emplace(node, hlc);
  }
  return left;
}

}  // namespace

Forgetting::Forgetting(World& world) : world_(world), nodes_(kMostNodes) {}

void Forgetting::look(std::size_t node, const store::View& view) {
  Watched& watched = nodes_[node];
  watched.view = &view;
  Hlc floor = store::Meta::floor(view).value_or(watched.floor);
  if (floor != watched.floor) check_floor(node, floor);
  const Machine& machine = world_.machine(node);
  bool serves = machine.up() && world_.has_written(node);
  if (!serves || world_.now() - watched.rows_looked_at < kLookAtRows) return;
  watched.rows_looked_at = world_.now();
  check_rows(node);
}

void Forgetting::look_at_opened(std::size_t node, const store::View& view) {
  Watched& watched = nodes_[node];
  watched = {};
  watched.view = &view;
  watched.floor = store::Meta::floor(view).value_or(Hlc{});
  if (world_.has_written(node)) check_rows(node);
}

/// Every member must have all up to it, where no power cut takes it; and nobody may commit below it any more.
void Forgetting::check_floor(std::size_t node, Hlc floor) {
  Watched& watched = nodes_[node];
  const NodeName& name = world_.machine(node).name();
  if (floor < watched.floor && world_.has_written(node)) world_.wrong(fmt::format("{}'s floor fell", name));
  if (world_.now() - watched.floor_moved_at > kLongStand && watched.floor.value > 0)
    world_.hit("floor: went on after it stood long");
  watched.floor = floor;
  watched.floor_moved_at = world_.now();
  if (!world_.has_written(node)) return;  // a joiner's, from its snapshot
  world_.hit("floor: moved");
  world_.ghost().promise_stable(floor);
  if (world_.plan().changes) return;  // who counts as a member is asked where S is judged
  std::vector<NodeName> members;
  for (std::size_t i = 0; i < world_.machines(); ++i) {
    if (world_.has_written(i)) members.push_back(world_.machine(i).name());
  }
  for (std::size_t i = 0; i < world_.machines(); ++i) {
    for (const auto& [journal, applied] : world_.ghost().node(i).applied) {
      if (journal.node != world_.machine(i).name()) continue;
      Seq newest = world_.ghost().newest_below(journal, {floor.value + 1});
      if (newest.value > 0)
        world_.check_durable({journal.node, journal.incarnation, newest}, members,
                             name + "'s floor has passed it");
    }
  }
}

void Forgetting::check_rows(std::size_t node) {
  Watched& watched = nodes_[node];
  const NodeName& name = world_.machine(node).name();
  for (const auto& [row, newest] : world_.ghost().node(node).newest) {
    const auto& [version, write] = newest;
    auto bytes = watched.view->get(store::Family::kKv, row);
    if (!bytes) return;
    auto record = *bytes ? store::decode_kv(**bytes) : std::nullopt;
    if (record) {
      if (watched.gone.erase(row) > 0) world_.hit("rows: written anew where collected");
      if (!says(*record, version, *write))
        world_.wrong(fmt::format("{} holds {} of {}, but has taken in {}", name,
                                 format_version(record->version), readable(row), format_version(version)));
      continue;
    }
    // Everybody's time must have passed its end, and everybody must have it.
    if (!is_over(*write, watched.floor.wall()) || version.hlc > watched.floor)
      world_.wrong(
          fmt::format("{} has forgotten {} of {} too early", name, format_version(version), readable(row)));
    watched.gone.insert(row);
  }
}

bool Forgetting::all_gone(WallMs ended) {
  for (std::size_t i = 0; i < world_.machines(); ++i) {
    for (const auto& [row, record] : rows_of(*nodes_[i].view)) {
      bool may_go = record.deleted || (record.expires_at && *record.expires_at <= ended);
      if (may_go && !world_.in_open_conflict(row)) {
        world_.trace(fmt::format("{} still holds {} of {}, its floor is {}", world_.machine(i).name(),
                                 format_version(record.version), readable(row), nodes_[i].floor.value));
        return false;
      }
    }
  }
  return true;
}

void Forgetting::check_all() {
  std::vector<std::map<std::string, store::KvRecord>> all;
  for (std::size_t i = 0; i < world_.machines(); ++i) {
    check_rows(i);
    all.push_back(rows_of(*nodes_[i].view));
    for (const auto& [row, record] : all.back()) {
      if (!world_.ghost().node(i).newest.contains(row))
        world_.wrong(fmt::format("{} holds {}, which nobody wrote", world_.machine(i).name(), readable(row)));
    }
  }
  for (std::size_t i = 1; i < world_.machines(); ++i) {
    Hlc floor = std::max(nodes_[0].floor, nodes_[i].floor);
    for (const auto& [row, record] : all[i]) {
      auto other = all[0].find(row);
      if (other == all[0].end()) continue;
      if (record.floor != other->second.floor || above(record.ctx, floor) != above(other->second.ctx, floor))
        world_.wrong(fmt::format("{} and {} hold {} with other floors or contexts", world_.machine(0).name(),
                                 world_.machine(i).name(), readable(row)));
    }
  }
}

}  // namespace refrain::simulation
