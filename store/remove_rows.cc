// SPDX-License-Identifier: Apache-2.0
#include "store/remove_rows.h"

#include <string>

namespace refrain::store {
namespace {

constexpr std::size_t kRowsAtOnce = 1'000;

}  // namespace

Result<void> remove_rows(Engine& engine, Family family,
                         const std::function<bool(std::string_view key)>& which) {
  Batch batch;
  auto cursor = engine.cursor(family);
  for (cursor->seek(""); cursor->valid(); cursor->next()) {
    if (!which(cursor->key())) continue;
    batch.remove(family, std::string(cursor->key()));
    if (batch.changes().size() < kRowsAtOnce) continue;
    if (auto written = engine.write(batch, Durability::kBuffered); !written) return written;
    batch.clear();
  }
  if (auto status = cursor->status(); !status) return status;
  return engine.write(batch, Durability::kBuffered);
}

}  // namespace refrain::store
