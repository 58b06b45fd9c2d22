// SPDX-License-Identifier: Apache-2.0
#include "replication/memory_broker.h"

#include <algorithm>

namespace refrain::replication {

MemoryBroker::MemoryBroker(std::size_t retained_bytes) : retained_bytes_(retained_bytes) {}

void MemoryBroker::set_faults(const MemoryFaults& faults, Random* random) {
  std::lock_guard lock(mutex_);
  faults_ = faults;
  random_ = random;
}

std::map<std::string, std::uint64_t> MemoryBroker::fault_counts() const {
  std::lock_guard lock(mutex_);
  return fault_counts_;
}

void MemoryBroker::make_topic(const std::string& topic) {
  std::lock_guard lock(mutex_);
  make(topic, false);
}

void MemoryBroker::delete_topic(const std::string& topic) {
  std::unique_lock lock(mutex_);
  topics_.erase(topic);
  auto wakers = wakers_;
  lock.unlock();
  wake(wakers);
}

void MemoryBroker::truncate_front(const std::string& topic, Offset first_kept) {
  std::unique_lock lock(mutex_);
  if (Topic* found = find(topic)) {
    for (; found->first < first_kept.value && !found->records.empty(); ++found->first) {
      found->bytes -= found->records.front().bytes.size();
      found->records.pop_front();
    }
  }
  auto wakers = wakers_;
  lock.unlock();
  wake(wakers);
}

void MemoryBroker::truncate_back(const std::string& topic, Offset first_lost) {
  std::unique_lock lock(mutex_);
  if (Topic* found = find(topic)) {
    while (found->end() > first_lost.value && !found->records.empty()) {
      found->bytes -= found->records.back().bytes.size();
      found->records.pop_back();
    }
  }
  auto wakers = wakers_;
  lock.unlock();
  wake(wakers);
}

void MemoryBroker::replace_cluster() {
  std::unique_lock lock(mutex_);
  topics_.clear();
  late_.clear();
  ++cluster_;
  auto wakers = wakers_;
  lock.unlock();
  wake(wakers);
}

void MemoryBroker::move_to_mirror() {
  std::unique_lock lock(mutex_);
  ++cluster_;
  auto wakers = wakers_;
  lock.unlock();
  wake(wakers);
}

void MemoryBroker::inject(const std::string& topic, std::string bytes) {
  std::unique_lock lock(mutex_);
  if (Topic* found = find(topic)) write(*found, bytes);
  auto wakers = wakers_;
  lock.unlock();
  wake(wakers);
}

void MemoryBroker::flip_bit(const std::string& topic, Offset offset, std::size_t bit) {
  std::lock_guard lock(mutex_);
  Topic* found = find(topic);
  if (found == nullptr || offset.value < found->first || offset.value >= found->end()) return;
  std::string& bytes = found->records[static_cast<std::size_t>(offset.value - found->first)].bytes;
  if (bit / 8 < bytes.size()) bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
}

std::vector<std::string> MemoryBroker::topics() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, topic] : topics_) names.push_back(name);
  return names;
}

std::vector<Record> MemoryBroker::records(const std::string& topic, Offset from) const {
  std::lock_guard lock(mutex_);
  std::vector<Record> records;
  auto found = topics_.find(topic);
  if (found == topics_.end()) return records;
  const Topic& there = found->second;
  for (std::int64_t at = std::max(from.value, there.first); at < there.end(); ++at) {
    const Stored& stored = there.records[static_cast<std::size_t>(at - there.first)];
    records.push_back({{at}, stored.bytes, stored.taken});
  }
  return records;
}

bool MemoryBroker::chance(double probability, const char* fault) {
  if (probability <= 0 || random_ == nullptr) return false;
  bool hit = static_cast<double>(random_->next() >> 11) * 0x1p-53 < probability;
  if (hit) ++fault_counts_[fault];
  return hit;
}

std::uint64_t MemoryBroker::draw(std::uint64_t below) {
  return random_ == nullptr ? 0 : random_->next() % below;
}

MemoryBroker::Topic* MemoryBroker::find(const std::string& topic) {
  auto found = topics_.find(topic);
  return found == topics_.end() ? nullptr : &found->second;
}

MemoryBroker::Topic& MemoryBroker::make(const std::string& topic, bool for_ever) {
  auto [entry, fresh] = topics_.try_emplace(topic);
  if (fresh) {
    entry->second.life = ++lives_;
    entry->second.for_ever = for_ever;
  }
  return entry->second;
}

Offset MemoryBroker::write(Topic& topic, std::string_view bytes) {
  Offset at{topic.first + static_cast<std::int64_t>(topic.records.size())};
  topic.records.push_back({std::string(bytes), ++written_});
  topic.bytes += bytes.size();
  while (!topic.for_ever && topic.bytes > retained_bytes_ && topic.records.size() > 1) {
    topic.bytes -= topic.records.front().bytes.size();
    topic.records.pop_front();
    ++topic.first;
  }
  return at;
}

void MemoryBroker::some_late_records_arrive() {
  while (!late_.empty() && draw(2) == 0) {
    if (Topic* topic = find(late_.front().topic)) write(*topic, late_.front().bytes);
    late_.pop_front();
  }
}

}  // namespace refrain::replication
