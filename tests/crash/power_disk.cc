// SPDX-License-Identifier: Apache-2.0
#include "power_disk.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace refrain::crash {
namespace {

namespace fs = std::filesystem;
using rocksdb::FSDirectory;
using rocksdb::FSWritableFile;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr std::uint64_t kPage = 4096;

std::string read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_whole(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
std::string base(const std::string& path) {
  return fs::path(path).filename().string();
}

/// RocksDB's own report, and its lock: nothing of them is needed after a start.
bool is_kept_outside(const std::string& path) {
  std::string name = base(path);
  return name.starts_with("LOG") || name == "LOCK";
}

/// What stands under a name, and goes on standing there when the name changes.
struct File {
  std::string where;  // its real path now
  std::uint64_t size = 0;
  std::uint64_t synced = 0;
};
using FilePtr = std::shared_ptr<File>;
using Names = std::map<std::string, FilePtr>;

/// A change of names that the directory has not synced yet.
struct NameChange {
  enum class Kind : std::uint8_t { kMade, kRemoved, kRenamed } kind;
  std::string name;
  std::string to;
  FilePtr file;
};

void perform(const NameChange& change, Names& names) {
  if (change.kind != NameChange::Kind::kMade) names.erase(change.name);
  if (change.kind == NameChange::Kind::kMade) names[change.name] = change.file;
  if (change.kind == NameChange::Kind::kRenamed) names[change.to] = change.file;
}

}  // namespace

const char* name_of(Loss::Bytes bytes) {
  static constexpr const char* kNames[] = {"synced bytes only", "a prefix of the bytes", "all bytes",
                                           "a tail of zeros", "a tail of garbage"};
  return kNames[static_cast<std::size_t>(bytes)];
}

const char* name_of(Loss::Names names) {
  static constexpr const char* kNames[] = {"synced names only", "the oldest names", "all names"};
  return kNames[static_cast<std::size_t>(names)];
}

// ---- files

class PowerDisk::Files final : public rocksdb::FileSystemWrapper {
 public:
  Files(std::string directory, std::function<void()> stopped)
      : FileSystemWrapper(rocksdb::FileSystem::Default()),
        directory_(std::move(directory)),
        limbo_(directory_ + ".limbo"),
        stopped_(std::move(stopped)) {
    fs::create_directories(limbo_);
    fs::create_directories(directory_);
    for (const auto& entry : fs::directory_iterator(directory_)) {
      std::string path = entry.path().string();
      if (is_kept_outside(path) || base(path) == "CLEAN_STOP") continue;
      std::uint64_t size = entry.file_size();
      names_[path] = std::make_shared<File>(File{path, size, size});
    }
    durable_ = names_;
  }
  const char* Name() const override { return "PowerDisk"; }

  /// Held during one operation, so that it happened or did not.
  class Operation {
   public:
    Operation(Files& files, const char* what, const std::string& path) : lock_(files.mutex_) {
      if (!files.dead_) {
        ++files.operations_;
        if (files.cut_at_ == 0 || files.operations_ < files.cut_at_) return;
        files.dead_ = true;
        files.place_ = std::string(what) + " " + base(path);
      }
      stand_still(files);
    }

   private:
    [[noreturn]] void stand_still(Files& files) {
      bool first = !std::exchange(files.told_, true);
      lock_.unlock();
      if (first) files.stopped_();
      while (true) ::pause();
    }
    std::unique_lock<std::mutex> lock_;
  };

  // ---- what RocksDB calls
  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<FSWritableFile>* result, IODebugContext* debug) override;
  IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                              std::unique_ptr<FSWritableFile>* result, IODebugContext* debug) override;
  IOStatus ReuseWritableFile(const std::string&, const std::string&, const rocksdb::FileOptions&,
                             std::unique_ptr<FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("a file used again");
  }
  IOStatus NewRandomRWFile(const std::string&, const rocksdb::FileOptions&,
                           std::unique_ptr<rocksdb::FSRandomRWFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("a file written anywhere");
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<FSDirectory>* result, IODebugContext* debug) override;
  IOStatus DeleteFile(const std::string& path, const IOOptions& options, IODebugContext* debug) override;
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override;
  IOStatus LinkFile(const std::string&, const std::string&, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("a second name");
  }
  IOStatus Truncate(const std::string& path, size_t size, const IOOptions& options,
                    IODebugContext* debug) override;

  // ---- under an Operation
  void appended(const FilePtr& file, std::uint64_t bytes) {
    bool begins_log = file->size == 0 && bytes > 0 && file->where.ends_with(".log");
    if (begins_log && new_logs_to_cut_ > 0 && --new_logs_to_cut_ == 0) cut_at_ = operations_ + 1;
    file->size += bytes;
  }
  void synced(const FilePtr& file) {
    if (!lies_) file->synced = file->size;
  }
  void truncated(const FilePtr& file, std::uint64_t size) {
    file->size = size;
    file->synced = std::min(file->synced, size);
  }
  void names_synced() {
    if (lies_) return;
    for (const NameChange& change : changes_) perform(change, durable_);
    changes_.clear();
  }

  void survive(const std::string& to, Loss loss, simulation::Dice& dice);

  const std::string directory_;
  const std::string limbo_;
  std::function<void()> stopped_;
  mutable std::mutex mutex_;
  std::uint64_t operations_ = 0;
  std::uint64_t cut_at_ = 0;
  std::uint64_t new_logs_to_cut_ = 0;
  bool dead_ = false;
  bool told_ = false;
  bool lies_ = false;
  std::string place_;

 private:
  void change(NameChange change) {
    perform(change, names_);
    changes_.push_back(std::move(change));
  }
  /// Out of the directory, but not gone: its name may come back.
  void set_aside(const FilePtr& file) {
    std::string where = limbo_ + "/" + std::to_string(aside_++);
    if (::rename(file->where.c_str(), where.c_str()) == 0) file->where = where;
  }
  FilePtr find(const std::string& path) const {
    auto found = names_.find(path);
    return found == names_.end() ? nullptr : found->second;
  }
  Names surviving_names(Loss::Names loss, simulation::Dice& dice) const;
  static std::string surviving_bytes(const File& file, Loss::Bytes loss, simulation::Dice& dice);

  Names names_;
  Names durable_;
  std::vector<NameChange> changes_;
  std::uint64_t aside_ = 0;
};

namespace {

/// A file that is written: what its sync makes durable is what was appended before.
template <class Disk>
class WatchedFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WatchedFile(Disk& disk, std::string path, FilePtr file, std::unique_ptr<FSWritableFile> real)
      : FSWritableFileOwnerWrapper(std::move(real)),
        disk_(disk),
        path_(std::move(path)),
        file_(std::move(file)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    typename Disk::Operation operation(disk_, "append to", path_);
    IOStatus status = target()->Append(data, options, debug);
    if (status.ok()) disk_.appended(file_, data.size());
    return status;
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus PositionedAppend(const Slice&, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("direct writes");
  }
  IOStatus PositionedAppend(const Slice&, uint64_t, const IOOptions&, const rocksdb::DataVerificationInfo&,
                            IODebugContext*) override {
    return IOStatus::NotSupported("direct writes");
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    typename Disk::Operation operation(disk_, "truncate", path_);
    IOStatus status = target()->Truncate(size, options, debug);
    if (status.ok()) disk_.truncated(file_, size);
    return status;
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    typename Disk::Operation operation(disk_, "close", path_);
    return target()->Close(options, debug);
  }
  // The real sync is left out: what it would cost is all that it would change here.
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    typename Disk::Operation operation(disk_, "sync", path_);
    disk_.synced(file_);
    return IOStatus::OK();
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override { return Sync(options, debug); }
  // Starts writing; promises nothing.
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    typename Disk::Operation operation(disk_, "range sync", path_);
    return IOStatus::OK();
  }

 private:
  Disk& disk_;
  std::string path_;
  FilePtr file_;
};

template <class Disk>
class WatchedDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  WatchedDirectory(Disk& disk, std::string path, std::unique_ptr<FSDirectory> real)
      : FSDirectoryWrapper(std::move(real)), disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    typename Disk::Operation operation(disk_, "sync directory", path_);
    disk_.names_synced();
    return IOStatus::OK();
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, debug);
  }

 private:
  Disk& disk_;
  std::string path_;
};

}  // namespace

IOStatus PowerDisk::Files::NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                           std::unique_ptr<FSWritableFile>* result, IODebugContext* debug) {
  Operation operation(*this, "make", path);
  if (auto before = find(path)) set_aside(before);
  std::unique_ptr<FSWritableFile> real;
  IOStatus status = target()->NewWritableFile(path, options, &real, debug);
  if (!status.ok()) return status;
  auto file = std::make_shared<File>(File{path});
  change({NameChange::Kind::kMade, path, "", file});
  *result = std::make_unique<WatchedFile<Files>>(*this, path, file, std::move(real));
  return status;
}

IOStatus PowerDisk::Files::ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                              std::unique_ptr<FSWritableFile>* result,
                                              IODebugContext* debug) {
  if (!find(path)) return NewWritableFile(path, options, result, debug);
  Operation operation(*this, "open", path);
  std::unique_ptr<FSWritableFile> real;
  IOStatus status = target()->ReopenWritableFile(path, options, &real, debug);
  if (status.ok()) *result = std::make_unique<WatchedFile<Files>>(*this, path, find(path), std::move(real));
  return status;
}

IOStatus PowerDisk::Files::NewDirectory(const std::string& path, const IOOptions& options,
                                        std::unique_ptr<FSDirectory>* result, IODebugContext* debug) {
  std::unique_ptr<FSDirectory> real;
  IOStatus status = target()->NewDirectory(path, options, &real, debug);
  if (status.ok()) *result = std::make_unique<WatchedDirectory<Files>>(*this, path, std::move(real));
  return status;
}

IOStatus PowerDisk::Files::DeleteFile(const std::string& path, const IOOptions& options,
                                      IODebugContext* debug) {
  if (is_kept_outside(path)) return target()->DeleteFile(path, options, debug);
  Operation operation(*this, "remove", path);
  FilePtr file = find(path);
  if (!file) return target()->DeleteFile(path, options, debug);
  set_aside(file);
  change({NameChange::Kind::kRemoved, path, "", nullptr});
  return IOStatus::OK();
}

IOStatus PowerDisk::Files::RenameFile(const std::string& from, const std::string& to,
                                      const IOOptions& options, IODebugContext* debug) {
  if (is_kept_outside(from)) return target()->RenameFile(from, to, options, debug);
  Operation operation(*this, "rename to", to);
  FilePtr file = find(from);
  if (!file) return target()->RenameFile(from, to, options, debug);
  if (auto before = find(to)) set_aside(before);
  IOStatus status = target()->RenameFile(from, to, options, debug);
  if (!status.ok()) return status;
  file->where = to;
  change({NameChange::Kind::kRenamed, from, to, file});
  return status;
}

IOStatus PowerDisk::Files::Truncate(const std::string& path, size_t size, const IOOptions& options,
                                    IODebugContext* debug) {
  Operation operation(*this, "truncate", path);
  IOStatus status = target()->Truncate(path, size, options, debug);
  if (FilePtr file = find(path); file && status.ok()) truncated(file, size);
  return status;
}

// ---- what is left

Names PowerDisk::Files::surviving_names(Loss::Names loss, simulation::Dice& dice) const {
  Names names = durable_;
  std::size_t first = loss == Loss::Names::kPrefix ? dice.below(changes_.size() + 1) : changes_.size();
  for (std::size_t i = 0; i < changes_.size(); ++i) {
    if (loss != Loss::Names::kNone && i < first) perform(changes_[i], names);
  }
  return names;
}

std::string PowerDisk::Files::surviving_bytes(const File& file, Loss::Bytes loss, simulation::Dice& dice) {
  std::string bytes = read_whole(file.where);
  bytes.resize(std::min<std::size_t>(bytes.size(), file.size));
  std::uint64_t synced = std::min<std::uint64_t>(file.synced, bytes.size());
  if (loss == Loss::Bytes::kAll || synced == bytes.size()) return bytes;
  if (loss == Loss::Bytes::kNone) return bytes.substr(0, synced);
  std::uint64_t kept = synced + dice.below(bytes.size() - synced + 1);
  // Often one file whole and the other not at all: the system writes them back in any order.
  std::uint64_t luck = dice.below(3);
  if (luck == 0) kept = synced;
  if (luck == 1) kept = bytes.size();
  if (loss == Loss::Bytes::kPrefix) return bytes.substr(0, kept);
  // The size is that of a later moment, the pages from one on were not written any more.
  std::uint64_t size = kept + dice.below(bytes.size() - kept + 1);
  std::uint64_t from = std::max(synced, kept / kPage * kPage);
  bytes.resize(size);
  for (std::uint64_t i = from; i < size; ++i)
    bytes[i] = loss == Loss::Bytes::kZeros ? '\0' : static_cast<char>(dice.next());
  return bytes;
}

void PowerDisk::Files::survive(const std::string& to, Loss loss, simulation::Dice& dice) {
  std::lock_guard lock(mutex_);
  fs::create_directories(to);
  for (const auto& [path, file] : surviving_names(loss.names, dice))
    write_whole(to + "/" + base(path), surviving_bytes(*file, loss.bytes, dice));
  // Written and removed durably by the store itself, not through RocksDB.
  std::error_code none;
  fs::copy_file(directory_ + "/CLEAN_STOP", to + "/CLEAN_STOP", none);
}

// ---- jobs

/// RocksDB's threads: one, in order of priority, then of arrival.
class PowerDisk::Jobs final : public rocksdb::EnvWrapper {
 public:
  explicit Jobs(const std::shared_ptr<rocksdb::FileSystem>& files)
      : EnvWrapper(rocksdb::NewCompositeEnv(files)), thread_([this] { work(); }) {
    file_system_ = files;
  }
  ~Jobs() override {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  const char* Name() const override { return "PowerDisk"; }

  void Schedule(void (*function)(void*), void* argument, Priority priority, void* tag,
                void (*undone)(void*)) override {
    std::lock_guard lock(mutex_);
    jobs_.emplace(-static_cast<int>(priority), Job{function, argument, tag, undone});
    changed_.notify_all();
  }
  int UnSchedule(void* tag, Priority priority) override {
    std::vector<Job> dropped;
    {
      std::lock_guard lock(mutex_);
      auto [first, last] = jobs_.equal_range(-static_cast<int>(priority));
      while (first != last) {
        if (first->second.tag != tag) {
          ++first;
          continue;
        }
        dropped.push_back(first->second);
        first = jobs_.erase(first);
      }
    }
    for (const Job& job : dropped) {
      if (job.undone) job.undone(job.argument);
    }
    return static_cast<int>(dropped.size());
  }
  unsigned int GetThreadPoolQueueLen(Priority priority) const override {
    std::lock_guard lock(mutex_);
    return static_cast<unsigned int>(jobs_.count(-static_cast<int>(priority)));
  }
  void SetBackgroundThreads(int, Priority) override {}
  int GetBackgroundThreads(Priority) override { return 1; }
  void IncBackgroundThreadsIfNeeded(int, Priority) override {}

  void hold(bool held) {
    std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  void run_all() {
    std::unique_lock lock(mutex_);
    waiting_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return jobs_.empty() && !running_; });
    waiting_ = false;
  }
  bool waits() const {
    std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  struct Job {
    void (*function)(void*);
    void* argument;
    void* tag;
    void (*undone)(void*);
  };
  void work() {
    // Whoever holds the jobs back may come to need one: a write that stalls. Rare; then the order is chance.
    constexpr std::chrono::milliseconds kHeldAtMost{200};
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return ended_ || !jobs_.empty(); });
      if (ended_) return;
      changed_.wait_for(lock, kHeldAtMost, [this] { return ended_ || !held_ || waiting_; });
      if (jobs_.empty()) continue;
      Job job = jobs_.begin()->second;
      jobs_.erase(jobs_.begin());
      running_ = true;
      lock.unlock();
      job.function(job.argument);
      lock.lock();
      running_ = false;
      changed_.notify_all();
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<int, Job> jobs_;
  bool held_ = false;
  bool waiting_ = false;
  bool running_ = false;
  bool ended_ = false;
  std::thread thread_;  // last: starts when the rest is there
};

// ---- the disk

PowerDisk::PowerDisk(std::string directory, std::function<void()> stopped)
    : files_(std::make_shared<Files>(std::move(directory), std::move(stopped))),
      jobs_(std::make_unique<Jobs>(files_)) {}

PowerDisk::~PowerDisk() = default;

rocksdb::Env* PowerDisk::env() {
  return jobs_.get();
}
const std::string& PowerDisk::directory() const {
  return files_->directory_;
}

void PowerDisk::cut_at(std::uint64_t n) {
  std::lock_guard lock(files_->mutex_);
  files_->cut_at_ = n == 0 ? 0 : files_->operations_ + n;
}
void PowerDisk::cut_at_new_log(std::uint64_t n) {
  std::lock_guard lock(files_->mutex_);
  files_->new_logs_to_cut_ = n;
}
void PowerDisk::cut_now() {
  std::lock_guard lock(files_->mutex_);
  if (files_->dead_) return;
  files_->dead_ = files_->told_ = true;
  files_->place_ = "at rest";
}
bool PowerDisk::cut() const {
  std::lock_guard lock(files_->mutex_);
  return files_->dead_;
}
std::uint64_t PowerDisk::operations() const {
  std::lock_guard lock(files_->mutex_);
  return files_->operations_;
}
std::string PowerDisk::place() const {
  std::lock_guard lock(files_->mutex_);
  return files_->place_;
}

void PowerDisk::hold(bool held) {
  jobs_->hold(held);
}
void PowerDisk::run_jobs() {
  jobs_->run_all();
}
bool PowerDisk::waits_for_jobs() const {
  return jobs_->waits();
}
void PowerDisk::lie_about_syncs(bool lies) {
  std::lock_guard lock(files_->mutex_);
  files_->lies_ = lies;
}
void PowerDisk::survive(const std::string& to, Loss loss, simulation::Dice& dice) const {
  files_->survive(to, loss, dice);
}

}  // namespace refrain::crash
