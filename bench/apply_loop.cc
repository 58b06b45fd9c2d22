// SPDX-License-Identifier: Apache-2.0
// What applying a journal is compared with: a bare loop that reads a topic by librdkafka and stores each
// record, as it came, in RocksDB. Written unsynced in batches of what is at hand, at most 256 records, and
// synced once a second: a node too syncs what it applies only with its own next commit, a tick at the latest.
// Prints JSON.
//
//   bench_apply_loop BROKER TOPIC RECORDS DIRECTORY
//
// The time is from the first record to the end of the last write.
#include <librdkafka/rdkafka.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "bench_apply_loop: %s\n", why.c_str());
  std::_Exit(1);
}

rd_kafka_t* make_consumer(const char* broker) {
  char reason[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  const char* settings[][2] = {{"bootstrap.servers", broker},      {"group.id", "bench"},
                               {"enable.auto.commit", "false"},    {"fetch.wait.max.ms", "50"},
                               {"queued.min.messages", "1000000"}, {"queued.max.messages.kbytes", "65536"}};
  for (auto& [name, value] : settings) {
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK) fail(reason);
  }
  rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
  if (!consumer) fail(reason);
  return consumer;
}

void store(rocksdb::DB& db, const std::vector<rd_kafka_message_t*>& messages, bool sync) {
  rocksdb::WriteBatch rows;
  for (const auto* message : messages) {
    std::string key(8, '\0');
    for (int i = 0; i < 8; ++i) key[i] = static_cast<char>(message->offset >> (56 - 8 * i));
    auto status = rows.Put(key, {static_cast<const char*>(message->payload), message->len});
    if (!status.ok()) fail(status.ToString());
  }
  rocksdb::WriteOptions options;
  options.sync = sync;
  auto status = db.Write(options, &rows);
  if (!status.ok()) fail(status.ToString());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) fail("usage: bench_apply_loop BROKER TOPIC RECORDS DIRECTORY");
  std::uint64_t wanted = std::strtoull(argv[3], nullptr, 10);
  rocksdb::Options options;
  options.create_if_missing = true;
  options.max_background_jobs = 2;
  rocksdb::DB* opened = nullptr;
  if (auto status = rocksdb::DB::Open(options, argv[4], &opened); !status.ok()) fail(status.ToString());
  std::unique_ptr<rocksdb::DB> db(opened);

  rd_kafka_t* consumer = make_consumer(argv[1]);
  rd_kafka_topic_t* topic = rd_kafka_topic_new(consumer, argv[2], nullptr);
  if (!topic || rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_BEGINNING)) fail("cannot read the topic");
  std::uint64_t done = 0;
  Clock::time_point start;
  Clock::time_point synced;
  auto asked = Clock::now();
  std::vector<rd_kafka_message_t*> some(256);
  std::vector<rd_kafka_message_t*> records;
  while (done < wanted) {
    auto got = rd_kafka_consume_batch(topic, 0, 10, some.data(), some.size());
    if (got < 0) fail("reading the topic failed");
    if (Clock::now() - asked > std::chrono::seconds(60)) fail("the topic has fewer records");
    records.clear();
    for (ssize_t i = 0; i < got; ++i) {
      if (some[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) records.push_back(some[i]);
    }
    if (done == 0 && !records.empty()) start = synced = Clock::now();
    if (!records.empty()) {
      bool sync = Clock::now() - synced > std::chrono::seconds(1) || done + records.size() >= wanted;
      if (sync) synced = Clock::now();
      store(*db, records, sync);
      done += records.size();
    }
    for (ssize_t i = 0; i < got; ++i) rd_kafka_message_destroy(some[i]);
  }
  double took = std::chrono::duration<double>(Clock::now() - start).count();
  rd_kafka_consume_stop(topic, 0);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(consumer);
  std::printf(R"({"records":%llu,"per_second":%.1f})"
              "\n",
              static_cast<unsigned long long>(done), static_cast<double>(done) / took);
}
