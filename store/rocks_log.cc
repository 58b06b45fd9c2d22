// SPDX-License-Identifier: Apache-2.0
#include "store/rocks_log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "store/engine.h"
#include "store/files.h"
#include "store/rocks_files.h"

namespace refrain::store {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBlock = 32 << 10;
constexpr std::uint64_t kHeader = 7;
constexpr std::uint64_t kSector = 512;
/// Made before the first change is written. A family that a later version adds does not count here.
constexpr std::size_t kFamiliesFromBirth = 9;
static_assert(kFamiliesFromBirth <= kFamilies);
enum Type : std::uint8_t { kZero = 0, kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

struct Part {
  std::uint8_t type = kZero;
  std::uint64_t length = 0;
};

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  return value;
}

std::uint32_t masked(std::uint32_t crc) {
  return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

std::uint64_t left_in_block(std::uint64_t at) {
  return kBlock - at % kBlock;
}

/// The header at `at`, where there is room for one.
Part part_at(std::string_view bytes, std::uint64_t at) {
  return {static_cast<std::uint8_t>(bytes[at + 6]), little_endian(bytes.substr(at + 4, 2))};
}

bool is_whole(std::string_view bytes, std::uint64_t at) {
  if (left_in_block(at) < kHeader || at + kHeader > bytes.size()) return false;
  Part part = part_at(bytes, at);
  if (part.type == kZero || kHeader + part.length > left_in_block(at)) return false;
  if (at + kHeader + part.length > bytes.size()) return false;
  return masked(crc32c(bytes.substr(at + 6, 1 + part.length))) == little_endian(bytes.substr(at, 4));
}

/// A part that is whole behind one that is not. No part goes over the end of a block.
bool anything_whole_behind(std::string_view bytes, std::uint64_t at) {
  std::uint64_t next_block = at + left_in_block(at);
  for (std::uint64_t i = at + 1; i < std::min<std::uint64_t>(next_block, bytes.size()); ++i) {
    if (is_whole(bytes, i)) return true;
  }
  for (std::uint64_t block = next_block; block < bytes.size(); block += kBlock) {
    if (is_whole(bytes, block)) return true;
  }
  return false;
}

/// From `at` or a sector behind it to the end, of which there is some.
bool ends_in_zeros(std::string_view bytes, std::uint64_t at) {
  std::size_t last = bytes.find_last_not_of('\0');
  std::uint64_t zeros = last == std::string_view::npos ? 0 : last + 1;
  std::uint64_t from = zeros <= at ? at : (zeros + kSector - 1) / kSector * kSector;
  return from < bytes.size();
}

LogEnd::State state_of_rest(std::string_view bytes, std::uint64_t at) {
  if (anything_whole_behind(bytes, at)) return LogEnd::State::kDamaged;
  if (ends_in_zeros(bytes, at)) return LogEnd::State::kTorn;
  if (at + kHeader > bytes.size()) return LogEnd::State::kUnfinished;
  Part part = part_at(bytes, at);
  bool fits_block = kHeader + part.length <= left_in_block(at);
  return fits_block && at + kHeader + part.length > bytes.size() ? LogEnd::State::kUnfinished
                                                                 : LogEnd::State::kDamaged;
}

/// The records that are whole, in order, until `look` says false.
template <class Look>
void each_record(std::string_view bytes, Look look) {
  std::string record;
  for (std::uint64_t at = 0; at < bytes.size();) {
    if (left_in_block(at) < kHeader) {
      at += left_in_block(at);
      continue;
    }
    if (!is_whole(bytes, at)) return;
    Part part = part_at(bytes, at);
    if (part.type == kFull || part.type == kFirst) record.clear();
    record += bytes.substr(at + kHeader, part.length);
    if ((part.type == kFull || part.type == kLast) && !look(std::string_view(record))) return;
    at += kHeader + part.length;
  }
}

/// What RocksDB's VersionEdit begins with: a tag, and what belongs to it. Behind it stand the tables.
class Edit {
 public:
  explicit Edit(std::string_view bytes) : in_(bytes) {}
  /// False when something in it is not known, in front of where the facts would stand.
  bool read(ManifestFacts& facts) {
    while (!in_.empty()) {
      std::uint64_t tag = varint();
      if (tag == kLastSequence) {
        facts.last_sequence = std::max(facts.last_sequence, varint());
      } else if (tag == kFamilyAdd) {
        skip(varint());
        ++facts.families;
      } else if (tag == kLogNumber || tag == kNextFile || tag == kPrevLog || tag == kMinLog ||
                 tag == kFamily || tag == kMaxFamily) {
        varint();
      } else if (tag == kComparator || tag >= kMayBeIgnored) {
        skip(varint());
      } else {
        return is_behind(tag);
      }
      if (failed_) return false;
    }
    return true;
  }

 private:
  enum Tag : std::uint64_t {
    kComparator = 1,
    kLogNumber = 2,
    kNextFile = 3,
    kLastSequence = 4,
    kPrevLog = 9,
    kMinLog = 10,
    kFamily = 200,
    kFamilyAdd = 201,
    kMaxFamily = 203,
    kMayBeIgnored = 1 << 13,
  };
  /// Cursors, tables, a family dropped, groups.
  static bool is_behind(std::uint64_t tag) {
    return (tag >= 5 && tag <= 8) || (tag >= 100 && tag <= 104) || tag == 202 || tag == 300;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && !in_.empty(); shift += 7) {
      auto byte = static_cast<std::uint8_t>(in_.front());
      in_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }
  void skip(std::uint64_t bytes) {
    failed_ = failed_ || bytes > in_.size();
    in_.remove_prefix(std::min<std::uint64_t>(bytes, in_.size()));
  }
  std::string_view in_;
  bool failed_ = false;
};

/// A file's bytes, mapped.
class Mapped {
 public:
  explicit Mapped(int fd, std::uint64_t size) : size_(size) {
    if (size > 0) at_ = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  ~Mapped() {
    if (good() && size_ > 0) ::munmap(at_, size_);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  bool good() const { return at_ != MAP_FAILED; }
  std::string_view bytes() const { return {static_cast<const char*>(at_), size_}; }

 private:
  std::uint64_t size_;
  void* at_ = nullptr;
};

Error failed(const std::string& path) {
  return unavailable("store_failed",
                     "Cannot read " + path + ": " + std::strerror(errno) + ". Look at the disk.");
}

Error lost(const std::string& directory, const std::string& what) {
  return corrupt("The store in " + directory + " has lost writes: " + what + ". " +
                 rebuild_advice(directory));
}

/// Of what is left of a file when it is mended.
using Look = std::function<void(std::string_view)>;

Result<void> mend(const std::string& directory, const std::string& path, int fd, const Look& look) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return failed(path);
  // A pipe or a device in its place is RocksDB's to refuse, under its watchdog.
  if (!S_ISREG(info.st_mode)) return {};
  LogEnd end;
  {
    Mapped file(fd, static_cast<std::uint64_t>(info.st_size));
    if (!file.good()) return failed(path);
    end = log_end(file.bytes());
    look(file.bytes());
  }
  if (end.state == LogEnd::State::kDamaged) {
    return corrupt("The store in " + directory + " is damaged: " + path + " has a wrong record behind byte " +
                   std::to_string(end.whole_bytes) + ". " + rebuild_advice(directory));
  }
  if (end.state != LogEnd::State::kTorn) return {};
  if (::ftruncate(fd, static_cast<off_t>(end.whole_bytes)) != 0 || ::fsync(fd) != 0) return failed(path);
  return {};
}

Result<void> mend(const std::string& directory, const std::string& path, const Look& look) {
  int fd = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return failed(path);
  auto mended = mend(directory, path, fd, look);
  ::close(fd);
  return mended;
}

/// CURRENT's; none when CURRENT says nothing that can be understood, which RocksDB then says.
std::optional<std::string> manifest_in_use(const std::string& directory) {
  std::error_code error;
  std::string current = directory + "/CURRENT";
  if (!fs::is_regular_file(current, error)) return std::nullopt;
  auto name = read_small_file(current);
  if (!name || !*name || !(*name)->starts_with("MANIFEST-") || !(*name)->ends_with('\n')) return std::nullopt;
  std::string path = directory + "/" + (*name)->substr(0, (*name)->size() - 1);
  return fs::exists(path, error) ? std::optional(path) : std::nullopt;
}

/// In order of their numbers.
Result<std::vector<std::string>> logs_of(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> logs;
  for (fs::directory_iterator files(directory, error); !error && files != fs::directory_iterator();
       files.increment(error)) {
    if (files->path().extension() == ".log") logs.push_back(files->path().string());
  }
  std::sort(logs.begin(), logs.end());
  if (!error) return logs;
  return unavailable("store_failed", "Cannot read the directory " + directory + ": " + error.message() + ".");
}

}  // namespace

LogEnd log_end(std::string_view bytes) {
  LogEnd end;
  std::uint64_t at = 0;
  bool open = false;  // in a record of several parts
  while (at < bytes.size()) {
    if (left_in_block(at) < kHeader) {  // filled up
      at += left_in_block(at);
      continue;
    }
    if (!is_whole(bytes, at)) {
      end.state = state_of_rest(bytes, at);
      return end;
    }
    Part part = part_at(bytes, at);
    if (part.type > kLast) return end;  // of a newer RocksDB: its to judge
    bool begins = part.type == kFull || part.type == kFirst;
    if (begins == open) {
      end.state = LogEnd::State::kDamaged;
      return end;
    }
    at += kHeader + part.length;
    open = part.type == kFirst || part.type == kMiddle;
    if (!open) end.whole_bytes = at;
  }
  if (open) end.state = LogEnd::State::kUnfinished;
  return end;
}

std::optional<ManifestFacts> facts_of_manifest(std::string_view manifest) {
  ManifestFacts facts;
  bool known = true;
  each_record(manifest, [&](std::string_view record) {
    known = Edit(record).read(facts);
    return known;
  });
  return known ? std::optional(facts) : std::nullopt;
}

std::optional<Sequences> sequences_of(std::string_view log) {
  constexpr std::size_t kHead = 12;  // u64 sequence | u32 changes
  std::optional<Sequences> found;
  std::string head;
  for (std::uint64_t at = 0; at + kHeader <= log.size();) {
    if (left_in_block(at) < kHeader) {
      at += left_in_block(at);
      continue;
    }
    Part part = part_at(log, at);
    if (part.type == kZero || at + kHeader + part.length > log.size()) break;
    if (part.type == kFull || part.type == kFirst) head.clear();
    if (head.size() < kHead)
      head += log.substr(at + kHeader, std::min<std::uint64_t>(part.length, kHead - head.size()));
    if ((part.type == kFull || part.type == kLast) && head.size() == kHead) {
      std::uint64_t sequence = little_endian(std::string_view(head).substr(0, 8));
      std::uint64_t changes = little_endian(std::string_view(head).substr(8, 4));
      if (!found) found = Sequences{sequence, sequence};
      found->last = std::max(found->last, sequence + changes - std::min<std::uint64_t>(changes, 1));
    }
    at += kHeader + part.length;
  }
  return found;
}

Result<void> mend_logs(const std::string& directory) {
  std::optional<ManifestFacts> known;
  if (auto manifest = manifest_in_use(directory)) {
    auto look = [&](std::string_view bytes) { known = facts_of_manifest(bytes); };
    if (auto mended = mend(directory, *manifest, look); !mended) return mended;
  }
  auto logs = logs_of(directory);
  if (!logs) return logs.error();
  std::uint64_t end = known ? known->last_sequence : 0;
  std::string before = "the MANIFEST";
  for (const std::string& log : *logs) {
    std::optional<Sequences> in;
    if (auto mended = mend(directory, log, [&](std::string_view bytes) { in = sequences_of(bytes); });
        !mended)
      return mended;
    if (!known || !in) continue;
    if (known->families < kFamiliesFromBirth)
      return lost(directory, "the MANIFEST has not all families, and " + log + " is not empty");
    if (in->first > end + 1) {
      return lost(directory, before + " ends at change " + std::to_string(end) + ", " + log + " begins at " +
                                 std::to_string(in->first));
    }
    if (in->last < end) continue;
    end = in->last;
    before = log;
  }
  return {};
}

}  // namespace refrain::store
