// SPDX-License-Identifier: Apache-2.0
#include "outbox_truth.h"

#include <fmt/format.h>

namespace refrain::simulation {
namespace {

std::uint64_t number_at(const std::string& bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = at; i < at + 8; ++i) value = value * 256 + static_cast<unsigned char>(bytes.at(i));
  return value;
}

}  // namespace

std::optional<std::string> outbox_misfit(const store::SimDisk& disk) {
  auto names = disk.rows(store::Family::kDefault);
  auto kept = names.find("outbox");
  if (kept == names.end()) return std::nullopt;
  std::uint64_t bytes = 0;
  auto rows = disk.rows(store::Family::kOutbox);
  for (const auto& [seq, commit] : rows) bytes += commit.size();
  // format, commits, bytes, lowest seq (0 when there is none)
  std::uint64_t said = number_at(kept->second, 1);
  std::uint64_t said_bytes = number_at(kept->second, 9);
  std::uint64_t said_lowest = number_at(kept->second, 17);
  std::uint64_t lowest = rows.empty() ? 0 : number_at(rows.begin()->first, 0);
  if (said == rows.size() && said_bytes == bytes && said_lowest == lowest) return std::nullopt;
  return fmt::format("the outbox has {} commits, {} bytes, from {} on; it is kept as {}, {}, {}", rows.size(),
                     bytes, lowest, said, said_bytes, said_lowest);
}

}  // namespace refrain::simulation
