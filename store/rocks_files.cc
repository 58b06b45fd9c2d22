// SPDX-License-Identifier: Apache-2.0
#include "store/rocks_files.h"

#include <filesystem>
#include <system_error>

#include "base/text.h"
#include "store/files.h"

namespace refrain::store {
namespace {

namespace fs = std::filesystem;

std::string marker(const std::string& directory) {
  return directory + "/CLEAN_STOP";
}

struct Found {
  bool current = false;
  bool manifest = false;
  bool only_first_manifest = true;
  bool log = false;
  bool table = false;
};

Found survey(const std::string& directory, std::error_code& error) {
  Found found;
  fs::directory_iterator files(directory, error);
  for (; !error && files != fs::directory_iterator(); files.increment(error)) {
    std::string name = files->path().filename().string();
    found.current |= name == "CURRENT";
    found.manifest |= name.starts_with("MANIFEST-");
    if (name.starts_with("MANIFEST-") && name != "MANIFEST-000001") found.only_first_manifest = false;
    found.log |= name.ends_with(".log");
    found.table |= name.ends_with(".sst");
  }
  return found;
}

Error lost(const std::string& directory, const std::string& what) {
  return corrupt("The store in " + directory + " has lost files: " + what + " " + rebuild_advice(directory));
}

}  // namespace

std::string rebuild_advice(const std::string& directory) {
  fs::path path(directory);
  std::string data_dir = path.filename() == "db" ? path.parent_path().string() : directory;
  return "It is not opened with less. The peers have what was published: move " + data_dir +
         " aside and start a node with an empty directory and another name.";
}

Result<void> check_files(const std::string& directory) {
  std::error_code error;
  if (!fs::exists(directory, error)) return {};
  Found found = survey(directory, error);
  if (error) {
    return unavailable("store_failed",
                       "Cannot read the directory " + directory + ": " + error.message() + ".");
  }
  // A crash while the store was being made leaves this: every later start writes a MANIFEST with a larger
  // number.
  if (found.only_first_manifest && !found.log && !found.table) return {};
  if (!found.current && (found.manifest || found.log || found.table))
    return lost(directory, "CURRENT is missing, other files are there.");
  if (found.current && !found.manifest) return lost(directory, "no MANIFEST is there.");
  if (found.current && !found.log) return lost(directory, "no write-ahead log (*.log) is there.");
  return {};
}

Result<void> write_clean_stop(const std::string& directory, std::uint64_t newest) {
  return write_file_durably(marker(directory), format_hex64(newest));
}

Result<std::optional<std::uint64_t>> read_clean_stop(const std::string& directory) {
  auto bytes = read_small_file(marker(directory));
  if (!bytes) return bytes.error();
  if (!*bytes) return std::optional<std::uint64_t>();
  auto newest = parse_hex64(**bytes);
  if (!newest) return lost(directory, "the file CLEAN_STOP is damaged.");
  return newest;
}

Result<void> remove_clean_stop(const std::string& directory) {
  return remove_file_durably(marker(directory));
}

}  // namespace refrain::store
