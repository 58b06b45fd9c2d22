// SPDX-License-Identifier: Apache-2.0
#include "log_worlds.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <array>
#include <chrono>
#include <thread>

#include "replication/kafka_log.h"
#include "replication/memory_log.h"

namespace refrain::replication {
namespace {

class MemoryWorld final : public LogWorld {
 public:
  std::unique_ptr<Log> open(std::function<void()> wake) override {
    return std::make_unique<MemoryLog>(broker_, std::move(wake));
  }
  void delete_topic(const std::string& topic) override { broker_->delete_topic(topic); }
  void truncate_front(const std::string& topic, Offset first_kept) override {
    broker_->truncate_front(topic, first_kept);
  }

 private:
  std::shared_ptr<MemoryBroker> broker_ = std::make_shared<MemoryBroker>();
};

class KafkaWorld final : public LogWorld {
 public:
  explicit KafkaWorld(std::string brokers) : brokers_(std::move(brokers)) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    std::array<char, 512> why{};
    rd_kafka_conf_set(conf, "bootstrap.servers", brokers_.c_str(), why.data(), why.size());
    admin_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
    EXPECT_NE(admin_, nullptr) << why.data();
  }
  ~KafkaWorld() override { rd_kafka_destroy(admin_); }

  std::unique_ptr<Log> open(std::function<void()> wake) override {
    KafkaOptions options;
    options.brokers = {brokers_};
    auto log = KafkaLog::open(options, std::move(wake), [](int, std::string_view) {});
    EXPECT_TRUE(log.has_value());
    return log ? std::move(*log) : nullptr;
  }

  void delete_topic(const std::string& topic) override {
    rd_kafka_DeleteTopic_t* gone = rd_kafka_DeleteTopic_new(topic.c_str());
    answer([&](rd_kafka_queue_t* queue) { rd_kafka_DeleteTopics(admin_, &gone, 1, nullptr, queue); });
    rd_kafka_DeleteTopic_destroy(gone);
    // The broker answers before it has forgotten the topic.
    for (int i = 0; i < 500 && exists(topic); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }

  void truncate_front(const std::string& topic, Offset first_kept) override {
    rd_kafka_topic_partition_list_t* before = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(before, topic.c_str(), 0)->offset = first_kept.value;
    rd_kafka_DeleteRecords_t* gone = rd_kafka_DeleteRecords_new(before);
    answer([&](rd_kafka_queue_t* queue) { rd_kafka_DeleteRecords(admin_, &gone, 1, nullptr, queue); });
    rd_kafka_DeleteRecords_destroy(gone);
    rd_kafka_topic_partition_list_destroy(before);
  }

 private:
  void answer(const std::function<void(rd_kafka_queue_t*)>& call) {
    rd_kafka_queue_t* queue = rd_kafka_queue_new(admin_);
    call(queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 30'000);
    EXPECT_NE(event, nullptr);
    if (event != nullptr) {
      EXPECT_EQ(rd_kafka_event_error(event), 0) << rd_kafka_event_error_string(event);
      rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
  }

  bool exists(const std::string& topic) {
    const rd_kafka_metadata_t* metadata = nullptr;
    bool found = true;
    if (rd_kafka_metadata(admin_, 1, nullptr, &metadata, 5000) == 0) {
      found = false;
      for (int i = 0; i < metadata->topic_cnt; ++i) found = found || metadata->topics[i].topic == topic;
      rd_kafka_metadata_destroy(metadata);
    }
    return found;
  }

  std::string brokers_;
  rd_kafka_t* admin_ = nullptr;
};

}  // namespace

std::unique_ptr<LogWorld> memory_world() {
  return std::make_unique<MemoryWorld>();
}
std::unique_ptr<LogWorld> kafka_world(const std::string& brokers) {
  return std::make_unique<KafkaWorld>(brokers);
}

}  // namespace refrain::replication
