// SPDX-License-Identifier: Apache-2.0
#include "store/rocks_engine.h"

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <mutex>
#include <thread>

#include "base/planted.h"
#include "store/data_dir.h"
#include "store/requests_rows.h"
#include "store/rocks_files.h"
#include "store/rocks_log.h"

namespace refrain::store {
namespace {

using rocksdb::Slice;
using rocksdb::Status;
using Handles = std::vector<rocksdb::ColumnFamilyHandle*>;

Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view text_of(const Slice& slice) {
  return {slice.data(), slice.size()};
}

bool disk_is_full(const Status& status) {
  return status.IsNoSpace() || status.subcode() == Status::SubCode::kSpaceLimit;
}

Error disk_full(const std::string& directory, const std::string& reason) {
  return unavailable("disk_full", "The disk of " + directory + " is full (" + reason +
                                      "). Make room; writes go on by themselves.");
}

/// Without the full stop that some of them have.
std::string reason_of(const Status& status) {
  std::string reason = status.ToString();
  while (reason.ends_with('.')) reason.pop_back();
  return reason;
}

Error damaged(const std::string& directory, const Status& status) {
  return corrupt("The store in " + directory + " is damaged: " + reason_of(status) + ". " +
                 rebuild_advice(directory));
}

Error read_error(const std::string& directory, const Status& status) {
  if (status.IsCorruption()) return damaged(directory, status);
  return unavailable("store_failed", "The store in " + directory + " cannot be read: " + status.ToString() +
                                         ". Look at the disk.");
}

Error open_error(const std::string& directory, const Status& status) {
  std::string reason = reason_of(status);
  if (status.IsInvalidArgument() && reason.find("Column families not opened") != std::string::npos) {
    return Error{
        Code::kCorrupt, "newer_format",
        "The store in " + directory + " was written by a newer program: " + reason + ". Start that one."};
  }
  if (disk_is_full(status)) return disk_full(directory, reason);
  bool held =
      reason.find("While lock file") != std::string::npos || reason.find("lock hold by") != std::string::npos;
  if (status.IsIOError() && held) {
    return unavailable("locked", "The store in " + directory + " is open in another process: " + reason +
                                     ". Stop that process first.");
  }
  if (status.IsCorruption() || status.IsPathNotFound() || status.IsNotFound())
    return damaged(directory, status);
  return unavailable("store_failed", "The store in " + directory + " cannot be opened: " + reason + ".");
}

/// Drops rows that are past their end. RocksDB calls it from its own threads.
class EndedRows final : public rocksdb::CompactionFilter {
 public:
  EndedRows(Family family, const std::atomic<std::int64_t>& now) : family_(family), now_(now) {}
  const char* Name() const override { return "refrain.ended_rows"; }
  bool Filter(int, const Slice&, const Slice& value, std::string*, bool*) const override {
    return past_its_end(family_, text_of(value), WallMs{now_.load(std::memory_order_relaxed)});
  }

 private:
  Family family_;
  const std::atomic<std::int64_t>& now_;
};

/// What stopped RocksDB from taking writes. RocksDB calls it from its own threads, and from the writer's.
class StopWatch final : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, Status* status) override {
    bool behind = reason == rocksdb::BackgroundErrorReason::kFlush ||
                  reason == rocksdb::BackgroundErrorReason::kFlushNoWAL ||
                  reason == rocksdb::BackgroundErrorReason::kCompaction;
    if (behind && disk_is_full(*status)) {
      tables_wait_for_room_ = true;
    } else {
      log_failed_ = true;
    }
  }
  /// A flush or a compaction met a full disk: no write is in doubt, and RocksDB goes on once there is room.
  bool tables_wait_for_room() const { return tables_wait_for_room_; }
  void tables_go_on() { tables_wait_for_room_ = false; }
  /// A log could not be made durable when its successor began: what is written now could outlive it.
  void note_hole() { hole_ = true; }
  bool hole() const { return hole_; }
  /// The log itself, or something that room does not heal: RocksDB must be opened again.
  bool log_failed() const { return log_failed_; }

 private:
  std::atomic<bool> tables_wait_for_room_{false};
  std::atomic<bool> log_failed_{false};
  std::atomic<bool> hole_{false};
};

/// Makes a log durable before another one takes its place: both would hold buffered writes, and a power cut
/// that left the second and not the end of the first would leave a hole, of which RocksDB says nothing. It is
/// called by the thread that writes, after the new log was made and before anything is in it.
class ClosedLogs final : public rocksdb::EventListener {
 public:
  ClosedLogs(std::string directory, rocksdb::Env* env, std::shared_ptr<StopWatch> watch)
      : directory_(std::move(directory)), env_(env), watch_(std::move(watch)) {}

  void OnMemTableSealed(const rocksdb::MemTableInfo&) override {
    if (REFRAIN_PLANTED(hole_between_logs)) return;
    if (!sync_all_but_the_newest().ok()) watch_->note_hole();
  }

 private:
  Status sync_all_but_the_newest() {
    std::vector<std::string> names;
    Status status = env_->GetChildren(directory_, &names);
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".log"); });
    std::sort(names.begin(), names.end());  // their numbers have leading zeros
    if (!names.empty()) names.pop_back();
    bool any = false;
    for (const std::string& name : names) {
      if (name <= synced_ || !status.ok()) continue;
      status = sync(directory_ + "/" + name);
      synced_ = name;
      any = true;
    }
    return any && status.ok() ? sync_names() : status;
  }
  Status sync(const std::string& path) {
    std::unique_ptr<rocksdb::WritableFile> log;
    Status status = env_->ReopenWritableFile(path, &log, rocksdb::EnvOptions());
    if (status.ok()) status = log->Sync();
    if (status.ok()) status = log->Close();
    return status;
  }
  Status sync_names() {
    std::unique_ptr<rocksdb::Directory> names;
    Status status = env_->NewDirectory(directory_, &names);
    return status.ok() ? names->Fsync() : status;
  }

  std::string directory_;
  rocksdb::Env* env_;
  std::shared_ptr<StopWatch> watch_;
  std::string synced_;  // up to and with this one
};

/// Ends a wait that RocksDB's open may never end: some versions spin on a torn log.
class OpenWatchdog {
 public:
  OpenWatchdog(Milliseconds patience, std::function<void()> bark)
      : thread_([this, patience, bark = std::move(bark)] {
          std::unique_lock lock(mutex_);
          if (!done_.wait_for(lock, patience, [this] { return opened_; })) bark();
        }) {}
  ~OpenWatchdog() {
    {
      std::lock_guard lock(mutex_);
      opened_ = true;
    }
    done_.notify_one();
    thread_.join();
  }
  OpenWatchdog(const OpenWatchdog&) = delete;
  OpenWatchdog& operator=(const OpenWatchdog&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  bool opened_ = false;
  std::thread thread_;  // last: starts when the rest is there
};

void end_process(const std::string& reason) {
  std::fprintf(stderr, "%s\n", reason.c_str());
  std::fflush(stderr);
  ::_exit(1);
}

rocksdb::DBOptions db_options(const RocksOptions& given) {
  rocksdb::DBOptions options;
  if (given.env != nullptr) options.env = given.env;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  // One flipped bit must not drop the synced writes behind it, as the default mode (kPointInTimeRecovery)
  // would. An unfinished record at a log's end is an unacknowledged write and goes.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.paranoid_checks = true;
  options.max_total_wal_size = given.max_total_wal_bytes;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.max_log_file_size = 8 << 20;
  options.keep_log_file_num = 4;
  options.stats_dump_period_sec = 0;
  options.max_background_jobs = 2;
  options.bytes_per_sync = 1 << 20;
  // One thread writes: no queue of writers to lead, no concurrent memtable.
  options.enable_pipelined_write = false;
  options.allow_concurrent_memtable_write = false;
  options.enable_write_thread_adaptive_yield = false;
  return options;
}

rocksdb::CompressionType compression() {
  auto known = rocksdb::GetSupportedCompressions();
  bool lz4 = std::find(known.begin(), known.end(), rocksdb::kLZ4Compression) != known.end();
  return lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

bool carries_load(Family family) {
  return family == Family::kKv || family == Family::kRequests || family == Family::kResponses ||
         family == Family::kOutbox;
}

rocksdb::ColumnFamilyOptions family_options(Family family, const RocksOptions& given,
                                            const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions options;
  options.level_compaction_dynamic_level_bytes = true;
  options.compression = compression();
  options.write_buffer_size = carries_load(family)
                                  ? given.write_buffer_bytes
                                  : std::min<std::uint64_t>(given.write_buffer_bytes, 8 << 20);
  options.max_write_buffer_number = 3;
  if (family == Family::kKv || family == Family::kRequests) {
    // Each write reads its row first, and most often there is none yet: spares the search in memory.
    options.memtable_prefix_bloom_size_ratio = 0.05;
    options.memtable_whole_key_filtering = true;
  }
  rocksdb::BlockBasedTableOptions table;
  table.format_version = 5;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class RocksCursor final : public Cursor {
 public:
  RocksCursor(std::unique_ptr<rocksdb::Iterator> iterator, const std::string& directory)
      : iterator_(std::move(iterator)), directory_(directory) {}
  void seek(std::string_view key) override { iterator_->Seek(slice(key)); }
  void next() override { iterator_->Next(); }
  bool valid() const override { return iterator_->Valid(); }
  std::string_view key() const override { return text_of(iterator_->key()); }
  std::string_view value() const override { return text_of(iterator_->value()); }
  Result<void> status() const override {
    Status status = iterator_->status();
    if (status.ok()) return {};
    return read_error(directory_, status);
  }

 private:
  std::unique_ptr<rocksdb::Iterator> iterator_;
  const std::string& directory_;
};

/// An open database and what it needs until it is closed.
struct Database {
  std::string directory;
  std::atomic<std::int64_t> now{0};
  EndedRows ended_requests{Family::kRequests, now};
  EndedRows ended_responses{Family::kResponses, now};
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::Statistics> statistics;
  std::shared_ptr<StopWatch> watch = std::make_shared<StopWatch>();
  std::unique_ptr<rocksdb::DB> db;
  Handles handles;

  rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles[static_cast<std::size_t>(family)];
  }

  Result<std::optional<std::string>> get(const rocksdb::ReadOptions& options, Family family,
                                         std::string_view key) const {
    std::string value;
    Status status = db->Get(options, handle(family), slice(key), &value);
    if (status.ok()) return std::optional<std::string>(std::move(value));
    if (status.IsNotFound()) return std::optional<std::string>();
    return read_error(directory, status);
  }
  std::unique_ptr<Cursor> cursor(const rocksdb::ReadOptions& options, Family family) const {
    std::unique_ptr<rocksdb::Iterator> iterator(db->NewIterator(options, handle(family)));
    return std::make_unique<RocksCursor>(std::move(iterator), directory);
  }
};

class RocksView final : public View {
 public:
  explicit RocksView(const Database& database) : database_(database) {
    options_.snapshot = database_.db->GetSnapshot();
    options_.fill_cache = false;  // it is read once from end to end: what others need stays in the cache
  }
  ~RocksView() override { database_.db->ReleaseSnapshot(options_.snapshot); }
  RocksView(const RocksView&) = delete;
  RocksView& operator=(const RocksView&) = delete;

  Result<std::optional<std::string>> get(Family family, std::string_view key) const override {
    return database_.get(options_, family, key);
  }
  std::unique_ptr<Cursor> cursor(Family family) const override { return database_.cursor(options_, family); }

 private:
  const Database& database_;
  rocksdb::ReadOptions options_;
};

class RealRocksEngine final : public RocksEngine {
 public:
  RealRocksEngine(std::unique_ptr<Database> database, const RocksOptions& options)
      : database_(std::move(database)),
        abandoned_(options.abandoned),
        wanted_reserve_bytes_(options.reserve_bytes.value_or(2 * options.write_buffer_bytes + (64 << 20))) {}
  ~RealRocksEngine() override;

  Result<std::optional<std::string>> get(Family family, std::string_view key) const override {
    return database_->get({}, family, key);
  }
  std::unique_ptr<Cursor> cursor(Family family) const override { return database_->cursor({}, family); }
  std::unique_ptr<View> snapshot() const override { return std::make_unique<RocksView>(*database_); }
  std::unique_ptr<BulkLoad> bulk_load() override;
  Result<void> write(const Batch& batch, Durability durability) override;
  Result<void> checkpoint(const std::string& directory) override;
  EngineStats stats() const override;
  void set_now(WallMs now) override;
  Result<void> compact() override;

 private:
  class Load;
  std::uint64_t reserve_of(const DiskSpace& space) const {
    return std::min(wanted_reserve_bytes_, space.total_bytes / 10);
  }
  Result<void> room_for(std::size_t bytes);
  Result<void> resume();
  Result<void> failed(const Status& status);

  std::unique_ptr<Database> database_;
  std::shared_ptr<const std::atomic<bool>> abandoned_;
  std::uint64_t wanted_reserve_bytes_;
  std::atomic<bool> broken_{false};  // a write's fate is unknown
  std::atomic<std::uint64_t> loads_{0};
};

/// A clean stop: the memtables go to tables, so that the next start replays nothing and can tell whether it
/// lost something.
RealRocksEngine::~RealRocksEngine() {
  bool clean = !broken_ && !(abandoned_ && *abandoned_);
  if (clean) {
    rocksdb::FlushOptions flush;
    clean = database_->db->Flush(flush, database_->handles).ok();
  }
  rocksdb::CancelAllBackgroundWork(database_->db.get(), true);
  std::uint64_t newest = database_->db->GetLatestSequenceNumber();
  for (rocksdb::ColumnFamilyHandle* handle : database_->handles) {
    clean = database_->db->DestroyColumnFamilyHandle(handle).ok() && clean;
  }
  clean = database_->db->Close().ok() && clean;
  // Without the mark the next start only checks less.
  if (clean && !write_clean_stop(database_->directory, newest)) return;
}

/// Refused before RocksDB meets the end of the disk: its flushes and compactions need room to end well, and a
/// log record that was cut short is a doubt that nobody needs.
Result<void> RealRocksEngine::room_for(std::size_t bytes) {
  auto space = disk_space(database_->directory);
  if (!space) return space.error();
  std::uint64_t reserve = reserve_of(*space);
  if (space->free_bytes >= reserve + bytes) return {};
  return disk_full(database_->directory, std::to_string(space->free_bytes >> 20) + " MiB free, " +
                                             std::to_string(reserve >> 20) + " MiB are kept in reserve");
}

/// A write that RocksDB refused because of earlier trouble in its tables never reached the log. Any other may
/// have, in part or whole; and the log's file takes nothing more after that.
Result<void> RealRocksEngine::failed(const Status& status) {
  const StopWatch& watch = *database_->watch;
  if (disk_is_full(status) && watch.tables_wait_for_room() && !watch.log_failed())
    return disk_full(database_->directory, status.ToString());
  broken_ = true;
  return Error{Code::kUnknown, "write_uncertain",
               "The store in " + database_->directory + " failed to write: " + status.ToString() +
                   ". Look at the disk; the store must be opened again."};
}

Result<void> RealRocksEngine::resume() {
  if (!database_->watch->tables_wait_for_room()) return {};
  Status status = database_->db->Resume();
  if (!status.ok()) return disk_full(database_->directory, "still recovering: " + status.ToString());
  database_->watch->tables_go_on();
  return {};
}

Result<void> RealRocksEngine::write(const Batch& batch, Durability durability) {
  if (broken_) {
    return unavailable("store_failed",
                       "The store in " + database_->directory +
                           " failed to write before. Look at the disk; the store must be opened again.");
  }
  if (auto room = room_for(batch.bytes()); !room) return room;
  if (auto going = resume(); !going) return going;
  rocksdb::WriteBatch changes(batch.bytes() + 32 * batch.changes().size());
  for (const Batch::Change& change : batch.changes()) {
    Status status =
        change.value ? changes.Put(database_->handle(change.family), slice(change.key), slice(*change.value))
                     : changes.Delete(database_->handle(change.family), slice(change.key));
    if (!status.ok())
      return invalid("invalid", "RocksDB does not take this batch: " + status.ToString() + ".");
  }
  rocksdb::WriteOptions options;
  options.sync = durability == Durability::kSynced;
  Status status = database_->db->Write(options, &changes);
  if (status.ok() && database_->watch->hole()) status = Status::IOError("the log before could not be synced");
  if (!status.ok()) return failed(status);
  return {};
}

constexpr std::string_view kLoading = "loading-";  // a name of which RocksDB knows nothing

/// Tables written beside the log and taken in together. What is left of a crash goes with the next open.
class RealRocksEngine::Load final : public BulkLoad {
 public:
  explicit Load(RealRocksEngine& engine) : engine_(engine) {}
  ~Load() override {
    writer_.reset();
    rocksdb::Env* env = engine_.database_->db->GetEnv();
    for (const auto& paths : paths_) {
      for (const std::string& path : paths) (void)env->DeleteFile(path);
    }
  }

  Result<void> add(Family family, std::string_view key, std::string_view value) override {
    if (auto next = order_.take(family, key); !next) return next;
    if (writer_ && (family != family_ || writer_->FileSize() >= kTableBytes)) {
      if (auto ended = end_table(); !ended) return ended;
    }
    if (!writer_) {
      if (auto begun = begin_table(family); !begun) return begun;
    }
    return checked(writer_->Put(slice(key), slice(value)));
  }

  Result<void> finish() override {
    if (auto ended = end_table(); !ended) return ended;
    std::vector<rocksdb::IngestExternalFileArg> all;
    for (std::size_t i = 0; i < kFamilies; ++i) {
      if (paths_[i].empty()) continue;
      rocksdb::IngestExternalFileArg& one = all.emplace_back();
      one.column_family = engine_.database_->handle(static_cast<Family>(i));
      one.external_files = paths_[i];
      one.options.move_files = true;
      one.options.write_global_seqno = false;
    }
    if (all.empty()) return {};
    Status status = engine_.database_->db->IngestExternalFiles(all);
    if (!status.ok()) return engine_.failed(status);
    return {};
  }

 private:
  static constexpr std::uint64_t kTableBytes = 32 << 20;

  Result<void> begin_table(Family family) {
    if (auto room = engine_.room_for(kTableBytes); !room) return room;
    const Database& database = *engine_.database_;
    family_ = family;
    writer_ = std::make_unique<rocksdb::SstFileWriter>(
        rocksdb::EnvOptions(database.db->GetDBOptions()), database.db->GetOptions(database.handle(family)),
        database.handle(family), false);  // what was just written is read soon: it stays in the page cache
    std::string path =
        database.directory + "/" + std::string(kLoading) + std::to_string(engine_.loads_.fetch_add(1));
    if (auto opened = checked(writer_->Open(path)); !opened) return opened;
    paths_[static_cast<std::size_t>(family)].push_back(path);
    return {};
  }
  Result<void> end_table() {
    if (!writer_) return {};
    Status status = writer_->Finish();
    writer_.reset();
    return checked(status);
  }
  /// None of it is in the store yet.
  Result<void> checked(const Status& status) {
    if (status.ok()) return {};
    const std::string& directory = engine_.database_->directory;
    if (disk_is_full(status)) return disk_full(directory, status.ToString());
    return unavailable("store_failed", "A table in " + directory + " cannot be written: " +
                                           status.ToString() + ". Look at the disk.");
  }

  RealRocksEngine& engine_;
  RowOrder order_;
  Family family_ = Family::kDefault;
  std::unique_ptr<rocksdb::SstFileWriter> writer_;
  std::array<std::vector<std::string>, kFamilies> paths_;
};

std::unique_ptr<BulkLoad> RealRocksEngine::bulk_load() {
  return std::make_unique<Load>(*this);
}

Result<void> RealRocksEngine::checkpoint(const std::string& directory) {
  rocksdb::Checkpoint* made = nullptr;
  Status status = rocksdb::Checkpoint::Create(database_->db.get(), &made);
  std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  // With its logs rather than flushed: a store without any log counts as damaged.
  constexpr std::uint64_t kNeverFlush = std::numeric_limits<std::uint64_t>::max();
  if (status.ok()) status = checkpoint->CreateCheckpoint(directory, kNeverFlush);
  if (status.ok()) return {};
  if (status.IsInvalidArgument())
    return invalid("invalid",
                   "No copy can be made in " + directory + ": " + status.ToString() + ". Name a new one.");
  if (disk_is_full(status)) return disk_full(directory, status.ToString());
  return read_error(database_->directory, status);
}

EngineStats RealRocksEngine::stats() const {
  EngineStats stats;
  if (auto space = disk_space(database_->directory)) {
    stats.disk_free_bytes = space->free_bytes;
    stats.disk_total_bytes = space->total_bytes;
    stats.disk_reserve_bytes = reserve_of(*space);
  }
  const rocksdb::DB& db = *database_->db;
  auto sum = [&](const char* property) {
    std::uint64_t total = 0;
    for (rocksdb::ColumnFamilyHandle* handle : database_->handles) {
      std::uint64_t value = 0;
      if (const_cast<rocksdb::DB&>(db).GetIntProperty(handle, property, &value)) total += value;
    }
    return static_cast<double>(total);
  };
  for (std::size_t i = 0; i < kFamilies; ++i) {
    std::uint64_t value = 0;
    Family family = static_cast<Family>(i);
    bool counts = family != Family::kOutbox && family != Family::kAside;
    if (counts && const_cast<rocksdb::DB&>(db).GetIntProperty(
                      database_->handle(family), rocksdb::DB::Properties::kEstimateNumKeys, &value))
      stats.rows += value;
  }
  auto whole = [&](const char* property) {
    std::uint64_t value = 0;
    const_cast<rocksdb::DB&>(db).GetIntProperty(database_->handle(Family::kDefault), property, &value);
    return static_cast<double>(value);
  };
  auto ticker = [&](rocksdb::Tickers name) {
    return static_cast<double>(database_->statistics->getTickerCount(name));
  };
  stats.live_bytes = static_cast<std::uint64_t>(sum(rocksdb::DB::Properties::kEstimateLiveDataSize.c_str()) +
                                                sum(rocksdb::DB::Properties::kCurSizeAllMemTables.c_str()));
  stats.gauges = {
      {"memtable_bytes", sum(rocksdb::DB::Properties::kCurSizeAllMemTables.c_str())},
      {"table_bytes", sum(rocksdb::DB::Properties::kTotalSstFilesSize.c_str())},
      {"keys", sum(rocksdb::DB::Properties::kEstimateNumKeys.c_str())},
      {"table_reader_bytes", sum(rocksdb::DB::Properties::kEstimateTableReadersMem.c_str())},
      {"pending_compaction_bytes", sum(rocksdb::DB::Properties::kEstimatePendingCompactionBytes.c_str())},
      {"running_compactions", whole(rocksdb::DB::Properties::kNumRunningCompactions.c_str())},
      {"running_flushes", whole(rocksdb::DB::Properties::kNumRunningFlushes.c_str())},
      {"background_errors", whole(rocksdb::DB::Properties::kBackgroundErrors.c_str())},
      {"writes_stopped", whole(rocksdb::DB::Properties::kIsWriteStopped.c_str())},
      {"snapshots", whole(rocksdb::DB::Properties::kNumSnapshots.c_str())},
      // As a property: in RocksDB 9 the cache itself is an incomplete type here.
      {"cache_bytes", whole(rocksdb::DB::Properties::kBlockCacheUsage.c_str())},
      {"cache_hits", ticker(rocksdb::BLOCK_CACHE_HIT)},
      {"cache_misses", ticker(rocksdb::BLOCK_CACHE_MISS)},
      {"wal_bytes", ticker(rocksdb::WAL_FILE_BYTES)},
      {"wal_syncs", ticker(rocksdb::WAL_FILE_SYNCED)},
      {"write_stall_seconds", ticker(rocksdb::STALL_MICROS) / 1e6},
  };
  return stats;
}

void RealRocksEngine::set_now(WallMs now) {
  std::int64_t before = database_->now.load(std::memory_order_relaxed);
  while (before < now.value && !database_->now.compare_exchange_weak(before, now.value)) {
  }
}

Result<void> RealRocksEngine::compact() {
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  for (rocksdb::ColumnFamilyHandle* handle : database_->handles) {
    Status status = database_->db->CompactRange(options, handle, nullptr, nullptr);
    if (!status.ok()) return read_error(database_->directory, status);
  }
  return {};
}

std::vector<rocksdb::ColumnFamilyDescriptor> descriptors(Database& database, const RocksOptions& options) {
  constexpr std::uint64_t kDay = 24 * 60 * 60;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (std::size_t i = 0; i < kFamilies; ++i) {
    Family family = static_cast<Family>(i);
    rocksdb::ColumnFamilyOptions family_setup = family_options(family, options, database.cache);
    if (family == Family::kRequests) family_setup.compaction_filter = &database.ended_requests;
    if (family == Family::kResponses) family_setup.compaction_filter = &database.ended_responses;
    // Cold files would keep their ended rows for ever.
    if (family_setup.compaction_filter != nullptr) family_setup.periodic_compaction_seconds = kDay;
    families.emplace_back(std::string(family_name(family)), family_setup);
  }
  return families;
}

/// Opening writes a little, and RocksDB aborts the process when that fails half way.
Result<void> room_to_open(const std::string& directory) {
  constexpr std::uint64_t kNeeded = 4 << 20;
  auto space = disk_space(directory);
  if (!space) return space.error();
  if (space->free_bytes >= std::min<std::uint64_t>(kNeeded, space->total_bytes / 20)) return {};
  return disk_full(directory, std::to_string(space->free_bytes >> 10) + " KiB free, too little to open it");
}

Status open_database(Database& database, const RocksOptions& options) {
  auto bark = [&] {
    std::string reason = "The store in " + database.directory + " did not open within " +
                         std::to_string(options.open_timeout.count()) + " ms. Its newest log may be torn. " +
                         rebuild_advice(database.directory);
    options.on_open_timeout ? options.on_open_timeout(reason) : end_process(reason);
  };
  OpenWatchdog watchdog(options.open_timeout, bark);
  rocksdb::DBOptions setup = db_options(options);
  setup.statistics = database.statistics;
  setup.listeners.push_back(database.watch);
  setup.listeners.push_back(std::make_shared<ClosedLogs>(database.directory, setup.env, database.watch));
  rocksdb::DB* db = nullptr;
  Status status =
      rocksdb::DB::Open(setup, database.directory, descriptors(database, options), &database.handles, &db);
  database.db.reset(db);
  return status;
}

/// After a clean stop the store must be as new as it was then. A lost log after a crash shows only in the
/// node's own journal.
Result<void> check_clean_stop(const Database& database) {
  auto newest = read_clean_stop(database.directory);
  if (!newest) return newest.error();
  if (!*newest) return {};
  std::uint64_t found = database.db->GetLatestSequenceNumber();
  if (found < **newest) {
    return corrupt("The store in " + database.directory +
                   " has lost writes: by its file CLEAN_STOP it stopped at change " +
                   std::to_string(**newest) + ", and it opens at " + std::to_string(found) + ". " +
                   rebuild_advice(database.directory));
  }
  return remove_clean_stop(database.directory);
}

/// Of bulk loads that a crash ended.
void remove_loads(const std::string& directory) {
  std::error_code ignored;  // they only take room
  std::vector<std::filesystem::path> left;
  for (const auto& file : std::filesystem::directory_iterator(directory, ignored)) {
    if (file.path().filename().string().starts_with(kLoading)) left.push_back(file.path());
  }
  for (const auto& path : left) std::filesystem::remove(path, ignored);
}

}  // namespace

Result<std::unique_ptr<RocksEngine>> RocksEngine::open(const std::string& directory,
                                                       const RocksOptions& options) {
  if (auto whole = check_files(directory); !whole) return whole.error();
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error)
    return unavailable("store_failed",
                       "Cannot make the directory " + directory + ": " + error.message() + ".");
  remove_loads(directory);
  if (auto room = room_to_open(directory); !room) return room.error();
  if (auto mended = mend_logs(directory); !mended) return mended.error();
  auto database = std::make_unique<Database>();
  database->directory = directory;
  database->cache = rocksdb::NewLRUCache(options.cache_bytes);
  database->statistics = rocksdb::CreateDBStatistics();
  database->statistics->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  Status status = open_database(*database, options);
  if (!status.ok()) return open_error(directory, status);
  if (auto whole = check_clean_stop(*database); !whole) {
    for (rocksdb::ColumnFamilyHandle* handle : database->handles) delete handle;
    return whole.error();
  }
  return std::unique_ptr<RocksEngine>(new RealRocksEngine(std::move(database), options));
}

}  // namespace refrain::store
