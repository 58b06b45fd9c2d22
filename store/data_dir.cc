// SPDX-License-Identifier: Apache-2.0
#include "store/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "store/backup.h"
#include "store/files.h"
#include "store/rocks_files.h"

namespace refrain::store {
namespace {

namespace fs = std::filesystem;

std::string format_path(const std::string& path) {
  return path + "/FORMAT";
}
std::string lock_path(const std::string& path) {
  return path + "/LOCK";
}

Error unusable(const std::string& path, const std::string& reason) {
  return unavailable("store_failed",
                     "The data directory " + path + " cannot be used: " + reason +
                         ". Check that it exists, is a directory and that this user may write there.");
}

Error is_a_backup(const std::string& path) {
  return invalid("invalid", "The directory " + path +
                                " is a backup. No node runs on it; `refrain restore` makes a data directory "
                                "of it.");
}

Error lost_store(const std::string& path) {
  return corrupt("The data directory " + path + " has lost its store: " + path + "/db is missing. " +
                 rebuild_advice(path + "/db"));
}

Error damaged_format(const std::string& path) {
  return corrupt("The file " + format_path(path) +
                 " cannot be read. Move the directory aside and rebuild the node from its peers.");
}

std::string text_of(const DirectoryInfo& info) {
  return "format " + std::to_string(info.format) + "\noldest_reader " + std::to_string(info.oldest_reader) +
         "\ncluster " + info.cluster + "\nnode " + info.node + "\n" + (info.born ? "born 1\n" : "");
}

bool take_number(std::string_view text, std::uint32_t& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

/// Lines `name value`. Names that we do not know are a newer program's, which its numbers say.
std::optional<DirectoryInfo> parse(std::string_view text) {
  DirectoryInfo info{.format = 0, .oldest_reader = 0, .node = "", .cluster = ""};
  bool has_format = false;
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    std::string_view name = line.substr(0, space);
    std::string_view value = line.substr(space + 1);
    if (name == "format" && !(has_format = take_number(value, info.format))) return std::nullopt;
    if (name == "oldest_reader" && !take_number(value, info.oldest_reader)) return std::nullopt;
    if (name == "cluster") info.cluster = value;
    if (name == "node") info.node = value;
    if (name == "born") info.born = value == "1";
  }
  if (!has_format || info.oldest_reader == 0) return std::nullopt;
  return info;
}

/// The lock's file descriptor, or why not.
Result<int> lock(const std::string& path) {
  int fd = ::open(lock_path(path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return unusable(path, std::strerror(errno));
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  int number = errno;
  std::string holder(32, '\0');
  ssize_t size = ::pread(fd, holder.data(), holder.size(), 0);
  ::close(fd);
  if (number != EWOULDBLOCK) return unusable(path, std::strerror(number));
  holder.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  std::string who = holder.empty() ? "a running process" : "the running process " + holder;
  return unavailable("locked", "The data directory " + path + " is in use by " + who +
                                   ". Stop it first, or give this node a directory of its own.");
}

void say_who_holds(int fd) {
  std::string pid = std::to_string(::getpid()) + "\n";
  // Only for the message that a second process prints: without it that message says less.
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) return;
}

Result<bool> is_empty(const std::string& path) {
  std::error_code error;
  for (fs::directory_iterator files(path, error); !error && files != fs::directory_iterator();
       files.increment(error)) {
    std::string name = files->path().filename().string();
    if (name != "LOCK" && name != "FORMAT.new" && name != "lost+found") return false;
  }
  if (error) return unusable(path, error.message());
  return true;
}

Result<void> check_owner(const std::string& path, const DirectoryInfo& info, const NodeName& node,
                         const std::string& cluster) {
  if (info.cluster != cluster) {
    return invalid("invalid", "The data directory " + path + " belongs to cluster '" + info.cluster +
                                  "', not to '" + cluster + "'. Correct `cluster` or `node.data_dir`.");
  }
  if (info.node != node) {
    return invalid("invalid", "The data directory " + path + " belongs to node '" + info.node +
                                  "', not to '" + node + "'. Correct `node.name` or `node.data_dir`.");
  }
  return {};
}

}  // namespace

Result<DirectoryInfo> DataDir::inspect(const std::string& path) {
  auto text = read_small_file(format_path(path));
  if (!text) return text.error();
  if (!*text) return not_found("There is no refrain data directory in " + path + ".");
  auto info = parse(**text);
  if (!info) return damaged_format(path);
  return *info;
}

Result<std::unique_ptr<DataDir>> DataDir::open(const std::string& path, const NodeName& node,
                                               const std::string& cluster, const StoreProgram& program) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return unusable(path, error.message());
  auto fd = lock(path);
  if (!fd) return fd.error();
  std::unique_ptr<DataDir> directory(new DataDir(path, *fd));
  auto info = inspect(path);
  if (info) {
    if (is_backup(path)) return is_a_backup(path);
    if (auto fits = check_store_format("The data directory " + path, *info, program); !fits)
      return fits.error();
    if (auto ours = check_owner(path, *info, node, cluster); !ours) return ours.error();
    if (info->born && !fs::exists(directory->engine_path(), error)) return lost_store(path);
    directory->info_ = std::move(*info);
  } else if (info.error().code == Code::kNotFound) {
    auto empty = is_empty(path);
    if (!empty) return empty.error();
    if (!*empty) {
      return invalid(
          "invalid",
          "The directory " + path +
              " has files in it but no FORMAT: it is no refrain data directory. Name an empty one.");
    }
    directory->info_ = {program.newest.number, program.newest.oldest_reader, node, cluster, false};
    if (auto written = write_file_durably(format_path(path), text_of(directory->info_)); !written)
      return written.error();
    if (auto synced = sync_directory_of(fs::absolute(path).lexically_normal().string()); !synced)
      return synced.error();
  } else {
    return info.error();
  }
  say_who_holds(*fd);
  return directory;
}

Result<DirectoryInfo> DataDir::upgrade(const std::string& path, const StoreProgram& program) {
  if (auto known = inspect(path); !known) return known.error();  // no lock file in a stranger's directory
  if (is_backup(path)) return is_a_backup(path);
  auto fd = lock(path);
  if (!fd) return fd.error();
  DataDir directory(path, *fd);
  auto info = inspect(path);
  if (!info) return info.error();
  if (auto fits = check_store_format("The data directory " + path, *info, program); !fits)
    return fits.error();
  std::error_code error;
  if (info->born && !fs::exists(directory.engine_path(), error)) return lost_store(path);
  if (info->format >= program.newest.number) return *info;
  DirectoryInfo raised = *info;
  raised.format = program.newest.number;
  raised.oldest_reader = program.newest.oldest_reader;
  // Whatever a release must do to the rows stands before this line: FORMAT is the last thing that changes.
  if (auto written = write_directory_info(path, raised); !written) return written.error();
  return *info;
}

Result<void> DataDir::note_birth() {
  if (info_.born) return {};
  DirectoryInfo born = info_;
  born.born = true;
  // Syncs the directory as well, and with it the entry of db/.
  if (auto written = write_file_durably(format_path(path_), text_of(born)); !written) return written;
  info_ = std::move(born);
  return {};
}

DataDir::~DataDir() {
  ::close(lock_);
}

Result<void> check_store_format(const std::string& what, const DirectoryInfo& info,
                                const StoreProgram& program) {
  std::string has = what + " has store format " + std::to_string(info.format);
  std::string ours = std::to_string(program.newest.number);
  if (info.oldest_reader > program.newest.number) {
    return Error{Code::kCorrupt, "newer_format",
                 has + " and needs a program that reads format " + std::to_string(info.oldest_reader) +
                     " or newer; this program reads format " + ours +
                     ". Start the newer program, or use another directory."};
  }
  if (info.format < program.opens_from) {
    return Error{Code::kCorrupt, "older_format",
                 has + "; this program opens formats " + std::to_string(program.opens_from) + " to " + ours +
                     ". Upgrade step by step: run `refrain upgrade` of the release before this one first."};
  }
  return {};
}

Result<void> write_directory_info(const std::string& path, const DirectoryInfo& info) {
  return write_file_durably(format_path(path), text_of(info));
}

Result<DiskSpace> DataDir::space() const {
  return disk_space(path_);
}

Result<DiskSpace> disk_space(const std::string& path) {
  struct statvfs fs_stats {};
  if (::statvfs(path.c_str(), &fs_stats) != 0) {
    return unavailable("store_failed",
                       "Cannot ask for the free space of " + path + ": " + std::strerror(errno) + ".");
  }
  std::uint64_t unit = fs_stats.f_frsize;
  return DiskSpace{fs_stats.f_bavail * unit, fs_stats.f_blocks * unit};
}

}  // namespace refrain::store
