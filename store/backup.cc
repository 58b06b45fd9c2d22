// SPDX-License-Identifier: Apache-2.0
#include "store/backup.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <sstream>

#include "store/data_dir.h"
#include "store/files.h"
#include "store/refound.h"
#include "store/rocks_engine.h"

namespace refrain::store {
namespace {

namespace fs = std::filesystem;

std::string mark_of(const std::string& directory) {
  return directory + "/BACKUP";
}

Error failed(const std::string& path, const std::error_code& error) {
  bool full = error == std::errc::no_space_on_device;
  return unavailable(full ? "disk_full" : "store_failed",
                     fmt::format("{}: {}. {}", path, error.message(),
                                 full ? "Make room on the disk." : "Look at who may read and write there."));
}

/// A directory in the making: taken away unless it was finished.
class Partial {
 public:
  explicit Partial(std::string final_path) : final_(std::move(final_path)), path_(final_ + ".partial") {}
  ~Partial() {
    std::error_code ignored;  // what is left is named by the next call
    if (made_) fs::remove_all(path_, ignored);
  }
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  const std::string& path() const { return path_; }

  Result<void> make() {
    std::error_code error;
    if (fs::exists(path_, error)) {
      return invalid("invalid", fmt::format("{} is left of a try that did not end. Remove it first.", path_));
    }
    if (!fs::create_directory(path_, error)) return failed(path_, error);
    made_ = true;
    return {};
  }
  Result<void> finish() {
    if (auto synced = sync_directory_of(path_ + "/."); !synced) return synced;
    std::error_code error;
    fs::rename(path_, final_, error);
    if (error) return failed(final_, error);
    made_ = false;
    return sync_directory_of(final_);
  }

 private:
  std::string final_;
  std::string path_;
  bool made_ = false;
};

/// Absolute, without a slash at its end; its parent is there.
Result<std::string> usable(const std::string& directory, bool may_be_empty) {
  fs::path path = fs::path(directory).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (!path.is_absolute() || !path.has_filename())
    return invalid("invalid", fmt::format("'{}' is no absolute path of a directory.", directory));
  std::error_code error;
  if (!fs::is_directory(path.parent_path(), error))
    return invalid("invalid",
                   fmt::format("{} is no directory that this process sees.", path.parent_path().string()));
  bool empty = may_be_empty && fs::is_directory(path, error) && fs::is_empty(path, error);
  if (fs::exists(fs::symlink_status(path, error)) && !empty) {
    return invalid("invalid", fmt::format("{} exists{}. Name one that does not.", path.string(),
                                          may_be_empty ? " and is not empty" : ""));
  }
  return path.string();
}

bool same_file_system(const std::string& a, const std::string& b) {
  struct stat one {};
  struct stat other {};
  return ::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev;
}

Result<std::uint64_t> bytes_in(const std::string& directory) {
  std::uint64_t bytes = 0;
  std::error_code error;
  fs::directory_iterator files(directory, error);
  for (; !error && files != fs::directory_iterator(); files.increment(error)) {
    bytes += files->file_size(error);
    if (error) break;
  }
  if (error) return failed(directory, error);
  return bytes;
}

std::string text_of(const BackupInfo& info) {
  return fmt::format("format 1\nnode {}\ncluster {}\nat {}\nbytes {}\n", info.node, info.cluster,
                     info.at.value, info.bytes);
}

Result<BackupInfo> read_info(const std::string& directory) {
  auto text = read_small_file(mark_of(directory));
  if (!text) return text.error();
  if (!*text)
    return not_found(
        fmt::format("{} is no backup: `refrain backup` makes one. (It has no file BACKUP.)", directory));
  BackupInfo info;
  std::istringstream lines(**text);
  std::string name, value;
  bool known = false;
  while (lines >> name >> value) {
    if (name == "format") known = value == "1";
    if (name == "node") info.node = value;
    if (name == "cluster") info.cluster = value;
    if (name == "at") info.at = {std::strtoll(value.c_str(), nullptr, 10)};
    if (name == "bytes") info.bytes = std::strtoull(value.c_str(), nullptr, 10);
  }
  if (!known || info.node.empty() || info.cluster.empty() || info.at.value == 0)
    return corrupt(fmt::format("The file {} cannot be read. Take another backup.", mark_of(directory)));
  return info;
}

/// Whether all of it is there: a log that was cut short would open with less.
Result<void> is_whole(const std::string& from, const BackupInfo& info) {
  auto bytes = bytes_in(from + "/db");
  if (!bytes) return bytes.error();
  if (*bytes == info.bytes) return {};
  return corrupt(
      fmt::format("The backup {} has {} bytes in its files, it was made with {}. Copy it again, or "
                  "take another one. Nothing was made.",
                  from, *bytes, info.bytes));
}

Result<void> copy_files(const std::string& from, const std::string& to) {
  std::error_code error;
  if (!fs::create_directory(to, error)) return failed(to, error);
  fs::directory_iterator files(from, error);
  if (error) return failed(from, error);
  for (; !error && files != fs::directory_iterator(); files.increment(error)) {
    std::string target = to + "/" + files->path().filename().string();
    fs::copy_file(files->path(), target, error);
    if (error) return failed(target, error);
    if (auto synced = sync_file(target); !synced) return synced;
  }
  if (error) return failed(from, error);
  return sync_directory_of(to + "/.");
}

Result<void> make_new(const std::string& db, const RestoreOptions& options, Restored& restored) {
  auto engine = RocksEngine::open(db, {});
  if (!engine) return engine.error();
  auto done = refound(**engine, options.cluster, options.incarnation);
  if (!done) return done.error();
  restored.old_cluster = done->old_cluster;
  restored.applied = std::move(done->applied);
  restored.void_commits = done->void_commits;
  return {};
}

}  // namespace

bool is_backup(const std::string& directory) {
  std::error_code error;
  return fs::exists(mark_of(directory), error);
}

Result<BackupInfo> make_backup(Engine& engine, const std::string& data_dir, const std::string& directory,
                               BackupInfo whose) {
  auto path = usable(directory, false);
  if (!path) return path.error();
  if (!same_file_system(fs::path(*path).parent_path().string(), data_dir)) {
    return invalid("invalid", fmt::format("{} is on another file system than the data directory {}: a backup "
                                          "links its files. Make it beside that one and copy it from there.",
                                          *path, data_dir));
  }
  if (fs::path within = fs::path(*path).lexically_relative(fs::absolute(data_dir).lexically_normal());
      !within.empty() && *within.begin() != "..") {
    return invalid("invalid", fmt::format("{} is in the data directory: it would be lost with it. Name a "
                                          "directory beside it.",
                                          *path));
  }
  Partial partial(*path);
  if (auto made = partial.make(); !made) return made.error();
  if (auto copied = engine.checkpoint(partial.path() + "/db"); !copied) return copied.error();
  auto bytes = bytes_in(partial.path() + "/db");
  if (!bytes) return bytes.error();
  whose.bytes = *bytes;
  auto of = DataDir::inspect(data_dir);  // whichever program makes it: rows are as they are there
  if (!of) return of.error();
  DirectoryInfo info{of->format, of->oldest_reader, whose.node, whose.cluster, true};
  if (auto written = write_directory_info(partial.path(), info); !written) return written.error();
  if (auto written = write_file_durably(mark_of(partial.path()), text_of(whose)); !written)
    return written.error();
  if (auto finished = partial.finish(); !finished) return finished.error();
  return whose;
}

Result<Restored> restore_backup(const RestoreOptions& options) {
  auto backup = read_info(options.from);
  if (!backup) return backup.error();
  if (auto whole = is_whole(options.from, *backup); !whole) return whole.error();
  auto info = DataDir::inspect(options.from);
  if (!info) return info.error();
  if (auto fits = check_store_format("The backup " + options.from, *info); !fits) {
    Error error = fits.error();
    if (error.slug == "older_format")
      error.detail = "The backup " + options.from + " is of format " + std::to_string(info->format) +
                     ", which this program does not open. Restore it with the release before this one, then "
                     "upgrade.";
    return error;
  }
  auto path = usable(fs::absolute(options.data_dir).string(), true);
  if (!path) return path.error();
  Restored restored{
      *backup, options.cluster_name.empty() ? backup->cluster : options.cluster_name, {}, {}, 0};
  Partial partial(*path);
  if (auto made = partial.make(); !made) return made.error();
  std::string db = partial.path() + "/db";
  if (auto copied = copy_files(options.from + "/db", db); !copied) return copied.error();
  if (auto done = make_new(db, options, restored); !done) {
    Error error = done.error();
    error.detail = fmt::format("The backup {} is of no use: {}", options.from, error.detail);
    return error;
  }
  DirectoryInfo fresh{info->format, info->oldest_reader, backup->node, restored.cluster_name, true};
  if (auto written = write_directory_info(partial.path(), fresh); !written) return written.error();
  if (auto finished = partial.finish(); !finished) return finished.error();
  return restored;
}

}  // namespace refrain::store
