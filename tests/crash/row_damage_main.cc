// SPDX-License-Identifier: Apache-2.0
// Changes one kv row of a stopped node behind its back, as damage does that no checksum finds.
//
//   refrain-row-damage ENGINE_DIRECTORY NS KEY flip|remove
//
// flip: the last byte of the value. It goes through the engine, and into a table: the row is whole, and
// wrong.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "store/kv.h"
#include "store/rocks_engine.h"

namespace {

using namespace refrain;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "refrain-row-damage: %s\n", why.c_str());
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) fail("usage: refrain-row-damage ENGINE_DIRECTORY NS KEY flip|remove");
  const std::string what = argv[4];
  const std::string row = store::kv_key(argv[2], argv[3]);
  auto engine = store::RocksEngine::open(argv[1], {});
  if (!engine) fail(engine.error().detail);
  auto bytes = (*engine)->get(store::Family::kKv, row);
  if (!bytes) fail(bytes.error().detail);
  if (!*bytes || (*bytes)->empty()) fail("there is no such row");
  store::Batch batch;
  if (what == "flip") {
    (*bytes)->back() = static_cast<char>((*bytes)->back() ^ 1);
    batch.put(store::Family::kKv, row, **bytes);
  } else if (what == "remove") {
    batch.remove(store::Family::kKv, row);
  } else {
    fail("flip or remove?");
  }
  if (auto written = (*engine)->write(batch, store::Durability::kSynced); !written)
    fail(written.error().detail);
  if (auto compacted = (*engine)->compact(); !compacted) fail(compacted.error().detail);
  return 0;
}
