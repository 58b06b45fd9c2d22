// SPDX-License-Identifier: Apache-2.0
#include "node/joining.h"

#include <fmt/format.h>

#include <algorithm>

namespace refrain::node {
namespace {

constexpr int kBlocksPerStep = 16;

}  // namespace

bool Joining::step(const replication::SnapshotFrom& from, const std::string& join) {
  const std::string& address = from.address;
  busy_ = false;
  if (!stream_ || address != address_) {
    if (auto emptied = store::empty_store(ledger_.engine()); !emptied) {
      give_up(emptied.error());
      return false;
    }
    auto accept = [member = from.member, cluster = ledger_.identity().cluster,
                   join](const store::SnapshotHeader& header) -> Result<void> {
      bool knows_us = std::find(header.members.begin(), header.members.end(), join) != header.members.end();
      if (header.cluster == cluster && header.source == member && knows_us) return {};
      return unavailable("unavailable",
                         fmt::format("it is not of {}, or not of this cluster as it is now: {} "
                                     "answers at that address",
                                     member.node, header.source.node));
    };
    auto loader = store::SnapshotLoader::start(ledger_.engine(), ledger_.identity(), std::move(accept),
                                               world_.store_format);
    if (!loader) {
      give_up(loader.error());
      return false;
    }
    half_ = true;
    address_ = address;
    started_ = world_.clock->steady();
    loader_ = std::move(*loader);
    stream_ = world_.peers->snapshot(address);
    world_.say(LogLevel::kInfo, fmt::format("Taking a snapshot from {}.", address));
  }
  auto done = take_blocks();
  if (!done) give_up(done.error());
  return done && *done;
}

Result<bool> Joining::take_blocks() {
  std::string block;
  for (int i = 0; i < kBlocksPerStep; ++i) {
    auto state = stream_->poll(block);
    if (!state) return state.error();
    if (*state == replication::SnapshotStream::State::kWait) return false;
    if (*state == replication::SnapshotStream::State::kBlock) {
      if (auto fed = loader_->feed(block); !fed) return fed.error();
      flowed_at_ = world_.clock->steady();
      continue;
    }
    if (!loader_->complete()) return unavailable("unavailable", "the snapshot ended before its last block");
    if (auto finished = loader_->finish(); !finished) return finished.error();
    world_.say(LogLevel::kInfo, fmt::format("The snapshot is in: {} rows, {} bytes.", rows(), bytes()));
    half_ = false;
    stream_.reset();
    loader_.reset();
    trouble_.clear();
    if (auto loaded = ledger_.reload(); !loaded) return loaded.error();
    return true;
  }
  busy_ = true;
  return false;
}

std::string Joining::progress() const {
  if (!stream_ || !loader_) return {};
  std::uint64_t expected = stream_->expected_rows();
  auto ms = std::chrono::duration_cast<Milliseconds>(world_.clock->steady() - started_).count();
  std::string percent = expected == 0 ? ""
                                      : fmt::format(" of about {} ({} %)", expected,
                                                    std::min<std::uint64_t>(99, 100 * rows() / expected));
  return fmt::format(
      "the snapshot from {}: {} rows{}, {} MiB, {:.1f} MiB/s", address_, rows(), percent, bytes() >> 20,
      static_cast<double>(bytes()) / 1048.576 / static_cast<double>(std::max<std::int64_t>(1, ms)));
}

void Joining::abandon() {
  stream_.reset();
  loader_.reset();
  busy_ = false;
}

void Joining::give_up(const Error& error) {
  if (error.detail != trouble_)
    world_.say(LogLevel::kWarn,
               fmt::format("The snapshot from {} failed and is asked for again: {}", address_, error.detail));
  trouble_ = error.detail;
  bool failed = error.code == Code::kUnknown || error.slug == "store_failed";
  if (failed) ledger_.engine_failed(error);
  stream_.reset();
  loader_.reset();
}

}  // namespace refrain::node
