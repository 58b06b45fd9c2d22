// SPDX-License-Identifier: Apache-2.0
#include "store/sim_engine.h"

#include "base/hash.h"
#include "store/requests_rows.h"
#include "store/sim_state.h"

namespace refrain::store {
namespace {

Error dead() {
  return unavailable("store_failed", "This engine's process has crashed. Open the store again.");
}
Error unreadable() {
  return unavailable("store_failed", "The disk gave a read error. Look at the disk.");
}
Error uncertain() {
  return {Code::kUnknown, "write_uncertain",
          "The disk failed to sync: the write may come back after a restart."};
}

/// Reads at one version, for one life of the disk.
class SimReader {
 public:
  SimReader(std::shared_ptr<SimDiskState> state, std::uint64_t life) : state_(std::move(state)), life_(life) {
    std::lock_guard lock(state_->mutex);
    version_ = state_->add_reader();
  }
  ~SimReader() {
    std::lock_guard lock(state_->mutex);
    state_->remove_reader(version_);
  }
  SimReader(const SimReader&) = delete;
  SimReader& operator=(const SimReader&) = delete;

  SimDiskState& state() const { return *state_; }
  std::uint64_t version() const { return version_; }
  /// Under the state's mutex.
  Result<void> readable() const {
    if (state_->life != life_) return dead();
    if (state_->reads_fail) return unreadable();
    return {};
  }

 private:
  std::shared_ptr<SimDiskState> state_;
  std::uint64_t life_;
  std::uint64_t version_ = 0;
};

class SimCursor final : public Cursor {
 public:
  SimCursor(std::shared_ptr<const SimReader> reader, Family family)
      : reader_(std::move(reader)), rows_(reader_->state().rows[static_cast<std::size_t>(family)]) {}

  void seek(std::string_view key) override {
    std::lock_guard lock(reader_->state().mutex);
    settle(rows_.lower_bound(key));
  }
  void next() override {
    REFRAIN_ASSERT(valid(), "next() on a cursor that is not valid");
    std::lock_guard lock(reader_->state().mutex);
    settle(std::next(at_));
  }
  bool valid() const override { return value_ != nullptr; }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return **value_; }
  Result<void> status() const override { return status_; }

 private:
  /// Forward to the first row that this version has.
  void settle(SimRows::const_iterator from) {
    value_ = nullptr;
    status_ = reader_->readable();
    if (!status_) return;
    for (at_ = from; at_ != rows_.end(); ++at_) {
      const std::optional<std::string>* value = at_->second->at(reader_->version());
      if (value == nullptr || !*value) continue;
      value_ = value;
      return;
    }
  }
  std::shared_ptr<const SimReader> reader_;
  const SimRows& rows_;
  SimRows::const_iterator at_;
  const std::optional<std::string>* value_ = nullptr;
  Result<void> status_;
};

class SimView final : public View {
 public:
  explicit SimView(std::shared_ptr<const SimReader> reader) : reader_(std::move(reader)) {}
  Result<std::optional<std::string>> get(Family family, std::string_view key) const override {
    std::lock_guard lock(reader_->state().mutex);
    if (auto readable = reader_->readable(); !readable) return readable.error();
    const std::optional<std::string>* value = reader_->state().find(family, key, reader_->version());
    return value == nullptr ? std::optional<std::string>() : *value;
  }
  std::unique_ptr<Cursor> cursor(Family family) const override {
    return std::make_unique<SimCursor>(reader_, family);
  }

 private:
  std::shared_ptr<const SimReader> reader_;
};

std::uint64_t hash_rows(const SimDiskState& state, Family family) {
  std::uint64_t sum = 0;
  for (const auto& [key, cell] : state.rows[static_cast<std::size_t>(family)]) {
    if (!cell->value) continue;
    Hash128 hash = hash128_framed({family_name(family), key, *cell->value});
    for (std::size_t i = 0; i < 8; ++i) sum ^= static_cast<std::uint64_t>(hash[i]) << (8 * i);
  }
  return sum;
}

}  // namespace

SimDisk::SimDisk() : state_(std::make_shared<SimDiskState>()) {}
SimDisk::~SimDisk() = default;
SimDisk::SimDisk(SimDisk&&) noexcept = default;
SimDisk& SimDisk::operator=(SimDisk&&) noexcept = default;

void SimDisk::crash() {
  std::lock_guard lock(state_->mutex);
  state_->apply_torn();
  state_->end_life();
}

void SimDisk::power_cut(std::size_t keep) {
  std::lock_guard lock(state_->mutex);
  state_->apply_torn();
  while (state_->undo.size() > keep) state_->undo_last();
  state_->undo.clear();  // what came through is on the disk now
  state_->end_life();
}

void SimDisk::wipe() {
  std::lock_guard lock(state_->mutex);
  state_->torn.reset();
  state_->undo.clear();
  state_->version += 1;
  for (std::size_t i = 0; i < kFamilies; ++i) {
    std::vector<std::string> keys;
    for (const auto& [key, cell] : state_->rows[i]) keys.push_back(key);
    for (const std::string& key : keys) state_->set(static_cast<Family>(i), key, std::nullopt);
  }
  state_->checkpoints.clear();
  state_->end_life();
}

SimDisk SimDisk::copy() const {
  std::lock_guard lock(state_->mutex);
  SimDisk copy;
  for (std::size_t i = 0; i < kFamilies; ++i) {
    for (const auto& [key, value] : state_->copy(static_cast<Family>(i)))
      copy.state_->set(static_cast<Family>(i), key, value);
  }
  return copy;
}

void SimDisk::fail_next(SimFault fault) {
  std::lock_guard lock(state_->mutex);
  state_->next_fault = fault;
}
void SimDisk::set_disk_used(unsigned percent) {
  std::lock_guard lock(state_->mutex);
  state_->disk_used_percent = percent;
}

void SimDisk::set_disk_full(bool full) {
  std::lock_guard lock(state_->mutex);
  state_->disk_full = full;
}
void SimDisk::fail_reads(bool fail) {
  std::lock_guard lock(state_->mutex);
  state_->reads_fail = fail;
}

std::size_t SimDisk::unsynced() const {
  std::lock_guard lock(state_->mutex);
  return state_->undo.size() + (state_->torn ? 1 : 0);
}

void SimDisk::compact(WallMs now) {
  std::lock_guard lock(state_->mutex);
  state_->version += 1;
  for (Family family : {Family::kRequests, Family::kResponses}) {
    std::vector<std::string> ended;
    for (const auto& [key, cell] : state_->rows[static_cast<std::size_t>(family)]) {
      if (cell->value && past_its_end(family, *cell->value, now)) ended.push_back(key);
    }
    for (const std::string& key : ended) state_->set(family, key, std::nullopt);
  }
}

std::uint64_t SimDisk::writes() const {
  std::lock_guard lock(state_->mutex);
  return state_->writes;
}
std::uint64_t SimDisk::rows_hash(Family family) const {
  std::lock_guard lock(state_->mutex);
  return hash_rows(*state_, family);
}
std::uint64_t SimDisk::rows_hash() const {
  std::lock_guard lock(state_->mutex);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kFamilies; ++i) sum ^= hash_rows(*state_, static_cast<Family>(i));
  return sum;
}

std::map<std::string, std::string> SimDisk::rows(Family family) const {
  std::lock_guard lock(state_->mutex);
  return state_->copy(family);
}

Result<std::unique_ptr<SimEngine>> SimEngine::open(SimDisk& disk) {
  SimDiskState& state = *disk.state_;
  std::lock_guard lock(state.mutex);
  if (state.open) return unavailable("locked", "The store is open already.");
  state.open = true;
  state.broken = false;
  state.apply_torn();
  return std::unique_ptr<SimEngine>(new SimEngine(disk.state_, state.life));
}

SimEngine::~SimEngine() {
  std::lock_guard lock(state_->mutex);
  if (state_->life != life_) return;
  state_->apply_torn();
  state_->end_life();
}

Result<std::optional<std::string>> SimEngine::get(Family family, std::string_view key) const {
  std::lock_guard lock(state_->mutex);
  if (state_->life != life_) return dead();
  if (state_->reads_fail) return unreadable();
  const std::optional<std::string>* value = state_->find(family, key, state_->version);
  return value == nullptr ? std::optional<std::string>() : *value;
}

std::unique_ptr<Cursor> SimEngine::cursor(Family family) const {
  return std::make_unique<SimCursor>(std::make_shared<SimReader>(state_, life_), family);
}

std::unique_ptr<View> SimEngine::snapshot() const {
  return std::make_unique<SimView>(std::make_shared<SimReader>(state_, life_));
}

/// Why nothing can be written now; counts the write that is not refused. Under the state's mutex.
Result<void> SimEngine::refused_write() {
  if (state_->life != life_) return Error{Code::kUnknown, "write_uncertain", dead().detail};
  if (state_->broken) return unavailable("store_failed", "An earlier write failed. Open the store again.");
  bool full = state_->disk_full || state_->next_fault == SimFault::kDiskFull;
  bool fails = state_->next_fault == SimFault::kWriteFails;
  if (full || fails) state_->next_fault.reset();
  if (full) return unavailable("disk_full", "The disk is full. Make room on it.");
  if (fails) return unavailable("store_failed", "The disk refused the write.");
  state_->writes += 1;
  return {};
}

Result<void> SimEngine::write(const Batch& batch, Durability durability) {
  std::lock_guard lock(state_->mutex);
  if (auto refused = refused_write(); !refused) return refused;
  std::optional<SimFault> fault = std::exchange(state_->next_fault, std::nullopt);
  if (fault == SimFault::kSyncFails) {
    state_->torn = batch;
    state_->broken = true;
    return uncertain();
  }
  state_->apply(batch, durability == Durability::kBuffered);
  return {};
}

/// As tables that come in whole beside the log: they are seen and durable at once, also before buffered
/// writes that came first.
class SimEngine::Load final : public BulkLoad {
 public:
  explicit Load(SimEngine& engine) : engine_(engine) {}
  Result<void> add(Family family, std::string_view key, std::string_view value) override {
    if (auto next = order_.take(family, key); !next) return next;
    rows_.put(family, std::string(key), std::string(value));
    return {};
  }
  Result<void> finish() override { return engine_.take_in(rows_); }

 private:
  SimEngine& engine_;
  RowOrder order_;
  Batch rows_;
};

std::unique_ptr<BulkLoad> SimEngine::bulk_load() {
  return std::make_unique<Load>(*this);
}

Result<void> SimEngine::take_in(const Batch& rows) {
  std::lock_guard lock(state_->mutex);
  if (auto refused = refused_write(); !refused) return refused;
  if (std::exchange(state_->next_fault, std::nullopt) == SimFault::kSyncFails) {
    state_->torn = rows;
    state_->broken = true;
    return uncertain();
  }
  state_->version += 1;
  for (const Batch::Change& row : rows.changes()) state_->set(row.family, row.key, row.value);
  return {};
}

Result<void> SimEngine::checkpoint(const std::string& directory) {
  std::lock_guard lock(state_->mutex);
  if (state_->life != life_) return dead();
  if (state_->checkpoints.contains(directory))
    return invalid("invalid", "The directory " + directory + " exists. Name a new one.");
  state_->checkpoints.emplace(directory, state_->copy());
  return {};
}

std::optional<SimDisk> SimEngine::open_checkpoint(const SimDisk& disk, const std::string& directory) {
  std::lock_guard lock(disk.state_->mutex);
  auto found = disk.state_->checkpoints.find(directory);
  if (found == disk.state_->checkpoints.end()) return std::nullopt;
  std::optional<SimDisk> copy(std::in_place);
  for (std::size_t i = 0; i < kFamilies; ++i) {
    for (const auto& [key, value] : found->second[i]) {
      copy->state_->set(static_cast<Family>(i), key, value);
    }
  }
  return copy;
}

EngineStats SimEngine::stats() const {
  std::lock_guard lock(state_->mutex);
  EngineStats stats;
  stats.disk_total_bytes = 1ULL << 40;
  stats.disk_reserve_bytes = 1 << 20;
  stats.disk_free_bytes = state_->disk_full ? 0 : stats.disk_total_bytes - state_->live_bytes;
  stats.disk_free_bytes -= stats.disk_free_bytes / 100 * state_->disk_used_percent;
  stats.live_bytes = state_->live_bytes;
  return stats;
}

}  // namespace refrain::store
