// SPDX-License-Identifier: Apache-2.0
// Node's side of verify: what it keeps and what it has, each from one cut, beside what that cut has applied.
#include <fmt/format.h>

#include "node/assembly.h"
#include "node/cut.h"
#include "store/digest_rows.h"

namespace refrain::node {
namespace {

constexpr std::size_t kRowsAtOnce = 5'000;

/// Of each node the newest that the cut has; its journals follow one another.
Result<Vector> vector_of(const store::View& cut) {
  auto applied = store::Meta::applied(cut);
  if (!applied) return applied.error();
  Vector vector;
  for (const auto& [journal, reached] : *applied) {
    Hlc& entry = vector[journal.node];
    entry = std::max(entry, reached.hlc);
  }
  return vector;
}

Result<DigestReport> report_of(const NodeName& node, const store::View& cut) {
  auto vector = vector_of(cut);
  if (!vector) return vector.error();
  auto kept = store::read_digest(cut);
  if (!kept) return kept.error();
  return DigestReport{node, std::move(*vector), std::move(*kept), std::nullopt};
}

}  // namespace

Result<DigestReport> Node::digest() {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  return report_of(config_.node.name, *life_->engine->snapshot());
}

Result<DigestPage> Node::digest_rows(const store::ComparedRows& wanted) {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  auto cut = life_->engine->snapshot();
  auto vector = vector_of(*cut);
  if (!vector) return vector.error();
  auto page = store::list_compared(*cut, wanted);
  if (!page) return page.error();
  return DigestPage{config_.node.name, std::move(*vector), reading_time(), std::move(page->items),
                    std::move(page->after)};
}

class Node::Counting final : public DigestCounting {
 public:
  Counting(Node& node, std::shared_ptr<Cut> cut, DigestReport report, std::uint64_t loads)
      : DigestCounting(std::move(report), loads), node_(node), cut_(std::move(cut)) {}
  ~Counting() override {
    std::shared_lock lock(node_.engine_mutex_);  // not while the engine is being closed
    cut_->close();
  }

  Result<bool> step() override {
    std::shared_lock lock(node_.engine_mutex_);
    if (!cut_->count)
      return unavailable("store_failed", "The store of this node was closed meanwhile. Ask again.");
    auto done = cut_->count->step(kRowsAtOnce);
    if (done && *done) report_.counted = cut_->count->buckets();
    return done;
  }

 private:
  Node& node_;
  std::shared_ptr<Cut> cut_;
};

Result<std::unique_ptr<DigestCounting>> Node::count_digest() {
  std::shared_lock lock(engine_mutex_);
  if (auto refused = reads_refused()) return *refused;
  auto cut = std::make_shared<Cut>();
  cut->view = life_->engine->snapshot();
  auto report = report_of(config_.node.name, *cut->view);
  if (!report) return report.error();
  cut->count = std::make_unique<store::DigestCount>(*cut->view);
  std::lock_guard views(views_mutex_);
  cuts_.push_back(cut);
  return std::unique_ptr<DigestCounting>(
      std::make_unique<Counting>(*this, std::move(cut), std::move(*report), digest_state_.load()));
}

void Node::correct_digest(std::shared_ptr<const DigestCounting> counting, Done<std::uint64_t> caller) {
  post(std::move(caller), [this, counting = std::move(counting)](Done<std::uint64_t> done) {
    if (auto refused = refusal(now_)) return done(*refused);
    const DigestReport& report = counting->report();
    std::uint64_t wrong = 0;
    for (std::uint32_t bucket = 0; bucket < store::kDigestBuckets; ++bucket)
      wrong += report.kept[bucket] != (*report.counted)[bucket] ? 1 : 0;
    if (const auto loads = life_->ledger->loads(); loads != loads_seen_) {  // a snapshot came in
      loads_seen_ = loads;
      digest_state_.fetch_add(1);
    }
    // Twice the same difference would put the fault back; of another store it means nothing.
    if (wrong > 0 && counting->state() != digest_state_.load())
      return done(
          unavailable("catching_up", "The store was opened, or its digest put right, meanwhile. Ask again."));
    if (wrong > 0) {
      life_->ledger->correct_digest(report.kept, *report.counted);
      digest_state_.fetch_add(1);
    }
    answers_.after_write([wrong, done = std::move(done)](const Result<void>& written) {
      written ? done(wrong) : done(written.error());
    });
  });
}

}  // namespace refrain::node
