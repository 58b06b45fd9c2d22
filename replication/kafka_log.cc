// SPDX-License-Identifier: Apache-2.0
// The only file that knows librdkafka. Its traps, each met by a line below:
//  - consumer: the batch calls lose messages around a seek, so messages are taken one by one, from a queue of
//  the reader's
//    own: a queue cannot give what belonged to another reader. One client can read a topic once at a time, so
//    a second reader of it gets a second client. The simple API (consume_start) needs no consumer group, and
//    a reader that nobody polls fills its own queue only.
//  - 2.0 pauses fetching for up to a second when a queue is full, so the queue must hold more than a second's
//  records.
//  - a producer's errors stay in its queue until someone polls it; a consumer's too, which is our worker's
//  task.
//  - destroying a client may take a second while brokers are down, so that happens aside.
#include "replication/kafka_log.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

namespace refrain::replication {
namespace {

constexpr const char* kMaxRecordBytes =
    "4194304";  // a commit of 900 KiB and what its operations take beside it
constexpr const char* kProbeTopic = "refrain.probe";  // need not exist
constexpr int kProbeMs = 3000;
constexpr int kDoubtfulProbeMs = 1000;  // after an error, or nothing known yet
constexpr int kTopicCallMs = 4000;
constexpr std::chrono::milliseconds kProbeEvery{2000};
constexpr std::chrono::milliseconds kProbeEverySoon{500};
constexpr std::chrono::milliseconds kServeEvery{200};

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* handle) const {
    destroy(handle);
  }
};
using Conf = std::unique_ptr<rd_kafka_conf_t, Destroy<rd_kafka_conf_destroy>>;
using Client = std::unique_ptr<rd_kafka_t, Destroy<rd_kafka_destroy>>;
using Topic = std::unique_ptr<rd_kafka_topic_t, Destroy<rd_kafka_topic_destroy>>;
using Queue = std::unique_ptr<rd_kafka_queue_t, Destroy<rd_kafka_queue_destroy>>;
using Event = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;
using Message = std::unique_ptr<rd_kafka_message_t, Destroy<rd_kafka_message_destroy>>;
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroy<rd_kafka_NewTopic_destroy>>;
using AdminOptions = std::unique_ptr<rd_kafka_AdminOptions_t, Destroy<rd_kafka_AdminOptions_destroy>>;
using Metadata = std::unique_ptr<const rd_kafka_metadata_t, Destroy<rd_kafka_metadata_destroy>>;

using Settings = std::vector<std::pair<std::string, std::string>>;
constexpr std::size_t kErrorText = 512;

std::string text_of(rd_kafka_resp_err_t error) {
  return rd_kafka_err2str(error);
}

/// The owner's callbacks, callable until the log is gone.
struct Owner {
  std::mutex mutex;
  std::function<void()> wake_call;
  KafkaLogLine log_call;

  void wake() {
    std::lock_guard lock(mutex);
    if (wake_call) wake_call();
  }
  void log(int severity, std::string_view text) {
    std::lock_guard lock(mutex);
    if (log_call) log_call(severity, text);
  }
  void leave() {
    std::lock_guard lock(mutex);
    wake_call = nullptr;
    log_call = nullptr;
  }
};

/// What the newest probe saw. Errors that clients meet only say why, and that a probe is due.
class Health {
 public:
  void note_error(std::string reason) {
    std::lock_guard lock(mutex_);
    newest_error_ = std::move(reason);
    probe_due_ = true;
  }
  bool probe_due() const {
    std::lock_guard lock(mutex_);
    return probe_due_;
  }
  /// How long to wait for the probe that begins now.
  int begin_probe() {
    std::lock_guard lock(mutex_);
    bool doubtful = std::exchange(probe_due_, false) || !state_.reachable || state_.kafka_cluster_id.empty();
    return doubtful ? kDoubtfulProbeMs : kProbeMs;
  }
  /// True when that is news.
  bool probed(bool reachable, const std::string& otherwise, std::string cluster_id) {
    std::lock_guard lock(mutex_);
    LogHealth now{reachable, "", cluster_id.empty() ? state_.kafka_cluster_id : std::move(cluster_id)};
    if (!reachable) now.reason = newest_error_.empty() ? otherwise : newest_error_;
    if (reachable) newest_error_.clear();
    bool news = now.reachable != state_.reachable || now.reason != state_.reason ||
                now.kafka_cluster_id != state_.kafka_cluster_id;
    state_ = std::move(now);
    if (news) ++changes_;
    return news;
  }
  LogHealth get() const {
    std::lock_guard lock(mutex_);
    return state_;
  }
  std::uint64_t changes() const { return changes_.load(std::memory_order_relaxed); }

 private:
  mutable std::mutex mutex_;
  LogHealth state_;
  std::string newest_error_;
  bool probe_due_ = false;
  std::atomic<std::uint64_t> changes_{0};
};

/// Runs what may take seconds, each in a thread of its own. Gone once all of it is done.
class Aside {
 public:
  /// Waits a little for all. What is not done then is left to end with the process: librdkafka 2.0 never gets
  /// a client destroyed whose topic was deleted while it was read.
  ~Aside() {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (auto& task : tasks_) {
      std::unique_lock lock(task.end->mutex);
      bool done = task.end->changed.wait_until(lock, deadline, [&] { return task.end->done; });
      lock.unlock();
      done ? task.thread.join() : task.thread.detach();
    }
  }
  template <class Work>
  void run(Work work) {
    std::lock_guard lock(mutex_);
    std::erase_if(tasks_, [](Task& task) {
      {
        std::lock_guard ended(task.end->mutex);
        if (!task.end->done) return false;
      }
      task.thread.join();
      return true;
    });
    auto end = std::make_shared<End>();
    auto body = [work = std::optional<Work>(std::move(work)), end]() mutable {
      (*work)();
      work.reset();
      std::lock_guard ended(end->mutex);
      end->done = true;
      end->changed.notify_all();
    };
    tasks_.push_back({std::thread(std::move(body)), end});
  }

 private:
  static constexpr std::chrono::seconds kPatience{2};
  struct End {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
  };
  struct Task {
    std::thread thread;
    std::shared_ptr<End> end;
  };
  std::mutex mutex_;
  std::vector<Task> tasks_;
};

/// What the worker tells a reader. librdkafka drops its own "no such topic" as outdated when reading has not
/// begun yet.
struct Watch {
  int missing = 0;  // probes in a row that did not find the topic; the worker's
  std::atomic<bool> gone{false};
};

/// A consumer, and the topics that it reads now: each at most once.
struct ConsumerClient {
  Client client;
  std::map<std::string, std::shared_ptr<Watch>> readers;
};

template <class T>
class KafkaPending final : public Pending<T> {
 public:
  std::optional<Result<T>> take() override {
    std::lock_guard lock(mutex_);
    return std::exchange(answer_, std::nullopt);
  }
  void answer(Result<T> answer) {
    std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }

 private:
  std::mutex mutex_;
  std::optional<Result<T>> answer_;
};

/// The owner keeps one end, the worker the other.
template <class T>
class PendingHandle final : public Pending<T> {
 public:
  explicit PendingHandle(std::shared_ptr<KafkaPending<T>> pending) : pending_(std::move(pending)) {}
  std::optional<Result<T>> take() override { return pending_->take(); }

 private:
  std::shared_ptr<KafkaPending<T>> pending_;
};

Error no_answer(const std::string& what, const std::string& why) {
  return unavailable("timed_out", what + ": " + why + ". Check the brokers; it is tried again.");
}

}  // namespace

struct KafkaLog::Core {
  explicit Core(KafkaOptions o) : options(std::move(o)) {}
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  Result<void> start();
  Result<Client> make_client(rd_kafka_type_t type, const Settings& settings, int events = 0);
  Result<Conf> make_conf(const Settings& settings) const;
  void enqueue(std::function<void()> job);
  std::shared_ptr<ConsumerClient> consumer_for(const std::string& topic, std::shared_ptr<Watch> watch);
  void release(ConsumerClient& client, const std::string& topic);

  void work();
  void serve_consumers();
  void probe();
  bool look_for_topics();
  Result<void> create(const TopicSpec& spec);
  Result<void> await_leader(const std::string& topic);
  Result<std::vector<TopicInfo>> list(const std::string& prefix);
  Result<bool> has_records(const std::string& topic);

  const KafkaOptions options;
  Owner owner;
  Health health;
  std::atomic<std::uint64_t> acknowledged{0}, failed{0}, read{0}, read_bytes{0};

  std::mutex clients_mutex;
  std::vector<std::shared_ptr<ConsumerClient>> clients;

  std::mutex jobs_mutex;
  std::condition_variable jobs_ready;
  std::deque<std::function<void()>> jobs;
  bool stopping = false;

  Client admin;
  Aside aside;
  std::thread worker;
};

namespace {

using Core = KafkaLog::Core;

void on_log(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  auto* core = static_cast<Core*>(rd_kafka_opaque(client));
  core->owner.log(level, std::string(facility) + ": " + text);
}

void note_error(Core& core, rd_kafka_resp_err_t error, const std::string& text) {
  // "2/2 brokers are down" comes right after the error that says why.
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) return;
  core.health.note_error(text);
}

void on_error(rd_kafka_t*, int error, const char* text, void* opaque) {
  note_error(*static_cast<Core*>(opaque), static_cast<rd_kafka_resp_err_t>(error), text);
}

void on_queue(rd_kafka_t*, void* opaque) {
  static_cast<Core*>(opaque)->owner.wake();
}

Settings common_settings() {
  return {{"allow.auto.create.topics", "false"},
          {"socket.nagle.disable", "true"},
          {"reconnect.backoff.max.ms", "2000"},
          // A topic that was made a moment ago may not be known everywhere yet; one that is unknown for
          // longer is not there.
          {"topic.metadata.propagation.max.ms", "3000"}};
}

Settings consumer_settings() {
  return {{"auto.offset.reset", "error"},          {"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"},   {"enable.partition.eof", "true"},
          {"isolation.level", "read_uncommitted"}, {"fetch.wait.max.ms", "50"},
          {"fetch.error.backoff.ms", "100"},       {"fetch.message.max.bytes", kMaxRecordBytes},
          {"queued.min.messages", "1000000"},      {"queued.max.messages.kbytes", "65536"}};
}

Settings producer_settings(Milliseconds linger) {
  return {{"enable.idempotence", "true"},
          {"acks", "all"},
          {"message.timeout.ms", "0"},
          {"max.in.flight.requests.per.connection", "5"},
          {"linger.ms", std::to_string(linger.count())},
          {"message.max.bytes", kMaxRecordBytes},
          {"queue.buffering.max.messages", "100000"},
          {"queue.buffering.max.kbytes", "65536"}};
}

std::string join(const std::vector<std::string>& parts) {
  std::string joined;
  for (const auto& part : parts) joined += (joined.empty() ? "" : ",") + part;
  return joined;
}

}  // namespace

bool carries_guarantee(std::string_view property) {
  static constexpr std::array kOurs =
      std::to_array<std::string_view>({"acks",
                                       "request.required.acks",
                                       "enable.idempotence",
                                       "enable.gapless.guarantee",
                                       "message.timeout.ms",
                                       "delivery.timeout.ms",
                                       "message.send.max.retries",
                                       "retries",
                                       "max.in.flight.requests.per.connection",
                                       "max.in.flight",
                                       "transactional.id",
                                       "transaction.timeout.ms",
                                       "message.max.bytes",
                                       "linger.ms",
                                       "queue.buffering.max.ms",
                                       "queue.buffering.max.messages",
                                       "queue.buffering.max.kbytes",
                                       "partitioner",
                                       "delivery.report.only.error",
                                       "auto.offset.reset",
                                       "enable.auto.commit",
                                       "auto.commit.enable",
                                       "enable.auto.offset.store",
                                       "offset.store.method",
                                       "enable.partition.eof",
                                       "isolation.level",
                                       "allow.auto.create.topics",
                                       "group.id",
                                       "group.instance.id",
                                       "group.protocol",
                                       "queued.min.messages",
                                       "queued.max.messages.kbytes",
                                       "topic.metadata.propagation.max.ms",
                                       "bootstrap.servers",
                                       "metadata.broker.list",
                                       "client.id",
                                       "plugin.library.paths",
                                       "test.mock.num.brokers",
                                       "opaque",
                                       "default_topic_conf",
                                       "background_event_cb"});
  return std::find(kOurs.begin(), kOurs.end(), property) != kOurs.end() || property.ends_with("_cb");
}

namespace {

std::optional<std::string> refused(rd_kafka_conf_t& conf, const std::string& name, const std::string& value) {
  std::array<char, kErrorText> why{};
  if (rd_kafka_conf_set(&conf, name.c_str(), value.c_str(), why.data(), why.size()) == RD_KAFKA_CONF_OK)
    return std::nullopt;
  return why.data();
}

}  // namespace

std::optional<std::string> refused_by_librdkafka(const std::string& property, const std::string& value) {
  Conf scratch(rd_kafka_conf_new());
  return refused(*scratch, property, value);
}

// ---- Core: clients

Result<Conf> Core::make_conf(const Settings& settings) const {
  Conf conf(rd_kafka_conf_new());
  for (const auto& [name, value] : options.properties) {
    if (carries_guarantee(name)) {
      return invalid("invalid", "kafka.properties: " + name +
                                    " is set by this program and cannot be changed. Remove it.");
    }
    if (auto why = refused(*conf, name, value))
      return invalid("invalid", "kafka.properties: " + name + ": " + *why);
  }
  Settings ours = common_settings();
  ours.insert(ours.end(), settings.begin(), settings.end());
  ours.emplace_back("bootstrap.servers", join(options.brokers));
  ours.emplace_back("client.id", options.client_id);
  for (const auto& [name, value] : ours) {
    if (auto why = refused(*conf, name, value)) return invalid("invalid", "kafka: " + name + ": " + *why);
  }
  return conf;
}

Result<Client> Core::make_client(rd_kafka_type_t type, const Settings& settings, int events) {
  Result<Conf> conf = make_conf(settings);
  if (!conf) return std::move(conf).error();
  rd_kafka_conf_set_opaque(conf->get(), this);
  rd_kafka_conf_set_log_cb(conf->get(), on_log);
  rd_kafka_conf_set_error_cb(conf->get(), on_error);
  if (events != 0) rd_kafka_conf_set_events(conf->get(), events);
  std::array<char, kErrorText> why{};
  Client client(rd_kafka_new(type, conf->get(), why.data(), why.size()));
  if (!client) return invalid("invalid", std::string("kafka: ") + why.data());
  static_cast<void>(conf->release());  // belongs to the client now
  return client;
}

Result<void> Core::start() {
  Result<Client> made = make_client(RD_KAFKA_PRODUCER, {});
  if (!made) return std::move(made).error();
  admin = std::move(*made);
  worker = std::thread([this] { work(); });
  return {};
}

Core::~Core() {
  {
    std::lock_guard lock(jobs_mutex);
    stopping = true;
  }
  jobs_ready.notify_all();
  if (worker.joinable()) worker.join();
  for (auto& client : clients) aside.run([gone = std::move(client)]() mutable { gone.reset(); });
  aside.run([gone = std::move(admin)]() mutable { gone.reset(); });
}

std::shared_ptr<ConsumerClient> Core::consumer_for(const std::string& topic, std::shared_ptr<Watch> watch) {
  std::lock_guard lock(clients_mutex);
  for (auto& client : clients) {
    if (client->readers.try_emplace(topic, watch).second) return client;
  }
  Result<Client> made = make_client(RD_KAFKA_CONSUMER, consumer_settings());
  if (!made) return nullptr;
  clients.push_back(std::make_shared<ConsumerClient>(ConsumerClient{std::move(*made), {{topic, watch}}}));
  return clients.back();
}

void Core::release(ConsumerClient& client, const std::string& topic) {
  std::lock_guard lock(clients_mutex);
  client.readers.erase(topic);
}

// ---- Core: the worker

void Core::enqueue(std::function<void()> job) {
  {
    std::lock_guard lock(jobs_mutex);
    jobs.push_back(std::move(job));
  }
  jobs_ready.notify_one();
}

void Core::work() {
  probe();
  auto next_probe = std::chrono::steady_clock::now() + kProbeEverySoon;
  std::unique_lock lock(jobs_mutex);
  while (!stopping) {
    if (!jobs.empty()) {
      auto job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      job();
      owner.wake();
    } else {
      lock.unlock();
      serve_consumers();
      if (health.probe_due() || std::chrono::steady_clock::now() >= next_probe) {
        probe();
        bool well = health.get().reachable && look_for_topics();
        next_probe = std::chrono::steady_clock::now() + (well ? kProbeEvery : kProbeEverySoon);
      }
    }
    lock.lock();
    if (jobs.empty() && !stopping) jobs_ready.wait_for(lock, kServeEvery);
  }
}

void Core::serve_consumers() {
  std::lock_guard lock(clients_mutex);
  for (auto& client : clients) rd_kafka_poll(client->client.get(), 0);
  rd_kafka_poll(admin.get(), 0);
}

void Core::probe() {
  // Asking for no topic would mean asking for all, of which a shared cluster may have thousands.
  Topic any(rd_kafka_topic_new(admin.get(), kProbeTopic, nullptr));
  const rd_kafka_metadata_t* found = nullptr;
  rd_kafka_resp_err_t error = rd_kafka_metadata(admin.get(), 0, any.get(), &found, health.begin_probe());
  Metadata metadata(found);
  std::string cluster_id;
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (char* id = rd_kafka_clusterid(admin.get(), 0)) {
      cluster_id = id;
      rd_kafka_mem_free(admin.get(), id);
    }
  } else {
    serve_consumers();  // the errors that came meanwhile say why
  }
  if (health.probed(error == RD_KAFKA_RESP_ERR_NO_ERROR, text_of(error), cluster_id)) owner.wake();
}

/// False when some topic is missing: look again soon. A topic must be missing twice, because a broker that
/// has just started may not know all topics yet.
bool Core::look_for_topics() {
  std::vector<std::shared_ptr<ConsumerClient>> busy;
  {
    std::lock_guard lock(clients_mutex);
    for (auto& client : clients) {
      if (!client->readers.empty()) busy.push_back(client);
    }
  }
  bool all_there = true;
  for (auto& client : busy) {
    const rd_kafka_metadata_t* found = nullptr;
    if (rd_kafka_metadata(client->client.get(), 0, nullptr, &found, kProbeMs) != RD_KAFKA_RESP_ERR_NO_ERROR)
      continue;
    Metadata metadata(found);
    std::lock_guard lock(clients_mutex);
    for (int i = 0; i < metadata->topic_cnt; ++i) {
      auto reader = client->readers.find(metadata->topics[i].topic);
      if (reader == client->readers.end()) continue;
      Watch& watch = *reader->second;
      bool missing = metadata->topics[i].err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
      watch.missing = missing ? watch.missing + 1 : 0;
      if (watch.missing >= 2) watch.gone = true;
      all_there = all_there && !missing;
    }
  }
  if (!all_there) owner.wake();
  return all_there;
}

Result<void> Core::create(const TopicSpec& spec) {
  const std::string what = "Cannot make the topic " + spec.name;
  if (LogHealth now = health.get(); !now.reachable) return no_answer(what, now.reason);
  std::array<char, kErrorText> why{};
  NewTopic topic(
      rd_kafka_NewTopic_new(spec.name.c_str(), 1, spec.replication_factor, why.data(), why.size()));
  if (!topic) return invalid("invalid", what + ": " + why.data());
  const Settings settings = {
      {"cleanup.policy", "delete"},
      {"retention.ms", std::to_string(std::max<std::int64_t>(spec.retention.count(), -1))},
      {"retention.bytes", "-1"},
      {"message.timestamp.type", "LogAppendTime"},
      {"min.insync.replicas", std::to_string(spec.min_insync_replicas)},
      {"max.message.bytes", kMaxRecordBytes}};
  for (const auto& [name, value] : settings)
    rd_kafka_NewTopic_set_config(topic.get(), name.c_str(), value.c_str());
  AdminOptions call(rd_kafka_AdminOptions_new(admin.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS));
  rd_kafka_AdminOptions_set_request_timeout(call.get(), kTopicCallMs, why.data(), why.size());
  rd_kafka_AdminOptions_set_operation_timeout(call.get(), kTopicCallMs, why.data(), why.size());
  Queue answers(rd_kafka_queue_new(admin.get()));
  rd_kafka_NewTopic_t* topics[] = {topic.get()};
  rd_kafka_CreateTopics(admin.get(), topics, 1, call.get(), answers.get());
  Event event(rd_kafka_queue_poll(answers.get(), 2 * kTopicCallMs));
  const rd_kafka_CreateTopics_result_t* result =
      event ? rd_kafka_event_CreateTopics_result(event.get()) : nullptr;
  if (result == nullptr) return no_answer(what, "no answer");
  if (auto error = rd_kafka_event_error(event.get())) return no_answer(what, text_of(error));
  std::size_t count = 0;
  const rd_kafka_topic_result_t** results = rd_kafka_CreateTopics_result_topics(result, &count);
  if (count != 1) return no_answer(what, "an answer for another call");
  rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[0]);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) return {};
  const char* detail = rd_kafka_topic_result_error_string(results[0]);
  return no_answer(what, detail != nullptr ? detail : text_of(error));
}

/// The broker that made a topic answers before all brokers know it.
Result<void> Core::await_leader(const std::string& name) {
  Topic topic(rd_kafka_topic_new(admin.get(), name.c_str(), nullptr));
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kTopicCallMs);
  while (std::chrono::steady_clock::now() < deadline) {
    const rd_kafka_metadata_t* found = nullptr;
    auto error = rd_kafka_metadata(admin.get(), 0, topic.get(), &found, kProbeMs);
    Metadata metadata(found);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1 &&
        metadata->topics[0].partition_cnt > 0 && metadata->topics[0].partitions[0].leader >= 0) {
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return no_answer("The topic " + name + " has no leader", "no broker leads it");
}

Result<std::vector<TopicInfo>> Core::list(const std::string& prefix) {
  if (LogHealth now = health.get(); !now.reachable) return no_answer("Cannot list the topics", now.reason);
  const rd_kafka_metadata_t* found = nullptr;
  auto error = rd_kafka_metadata(admin.get(), 1, nullptr, &found, kTopicCallMs);
  Metadata metadata(found);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return no_answer("Cannot list the topics", text_of(error));
  std::vector<TopicInfo> topics;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    std::string name = metadata->topics[i].topic;
    if (!name.starts_with(prefix)) continue;
    Result<bool> records = has_records(name);
    if (!records) return std::move(records).error();
    topics.push_back({name, *records});
  }
  return topics;
}

Result<bool> Core::has_records(const std::string& topic) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  auto error = rd_kafka_query_watermark_offsets(admin.get(), topic.c_str(), 0, &low, &high, kTopicCallMs);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return no_answer("Cannot see the ends of " + topic, text_of(error));
  return high > 0;
}

// ---- Appender

namespace {

class KafkaAppender final : public Appender {
 public:
  KafkaAppender(std::shared_ptr<Core> core, const std::string& topic) : core_(std::move(core)) {
    Result<Client> made = core_->make_client(RD_KAFKA_PRODUCER, producer_settings(core_->options.linger),
                                             RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    if (!made) {
      fatal_ = made.error().detail;
      return;
    }
    client_ = std::move(*made);
    topic_.reset(rd_kafka_topic_new(client_.get(), topic.c_str(), nullptr));
    queue_.reset(rd_kafka_queue_get_main(client_.get()));
    rd_kafka_queue_cb_event_enable(queue_.get(), on_queue, core_.get());
  }

  ~KafkaAppender() override {
    if (!client_) return;
    rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
    // Without this it would go on sending what its successor sends as well.
    rd_kafka_purge(client_.get(),
                   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    core_->aside.run(
        [client = std::move(client_), topic = std::move(topic_), queue = std::move(queue_)]() mutable {
          topic.reset();
          queue.reset();
          client.reset();
        });
  }

  bool append(std::uint64_t tag, std::string_view bytes) override {
    if (fatal_) return false;
    void* opaque =
        reinterpret_cast<void*>(static_cast<std::uintptr_t>(tag));  // NOLINT: a number, never followed
    void* payload = const_cast<char*>(bytes.data());                // NOLINT: copied, not written
    if (rd_kafka_produce(topic_.get(), 0, RD_KAFKA_MSG_F_COPY, payload, bytes.size(), nullptr, 0, opaque) ==
        0)
      return true;
    rd_kafka_resp_err_t error = rd_kafka_last_error();
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL) return false;
    if (error == RD_KAFKA_RESP_ERR__FATAL) note_fatal();
    refused_.push_back({tag, text_of(error), std::nullopt});
    core_->owner.wake();
    return true;
  }

  void poll(std::vector<DeliveryReport>& out) override {
    if (!client_) return;
    while (Event event{rd_kafka_queue_poll(queue_.get(), 0)}) {
      if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_DR) take_reports(*event, out);
      if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_ERROR) take_error(*event);
    }
    // Refused at once, so possibly before reports of earlier appends: then they come out of order, as errors
    // may.
    std::move(refused_.begin(), refused_.end(), std::back_inserter(out));
    refused_.clear();
  }

  std::optional<std::string> fatal() const override { return fatal_; }

 private:
  void take_reports(rd_kafka_event_t& event, std::vector<DeliveryReport>& out) {
    while (const rd_kafka_message_t* message = rd_kafka_event_message_next(&event)) {
      DeliveryReport& report = out.emplace_back();
      report.tag = reinterpret_cast<std::uintptr_t>(message->_private);  // NOLINT: see append()
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) report.error = text_of(message->err);
      if (!report.error && message->offset >= 0) report.offset = Offset{message->offset};
      (report.error ? core_->failed : core_->acknowledged).fetch_add(1, std::memory_order_relaxed);
    }
  }
  void take_error(rd_kafka_event_t& event) {
    rd_kafka_resp_err_t error = rd_kafka_event_error(&event);
    if (error == RD_KAFKA_RESP_ERR__FATAL) return note_fatal();
    note_error(*core_, error, rd_kafka_event_error_string(&event));
  }
  void note_fatal() {
    std::array<char, kErrorText> why{};
    rd_kafka_resp_err_t error = rd_kafka_fatal_error(client_.get(), why.data(), why.size());
    fatal_ = text_of(error) + ": " + why.data();
  }

  std::shared_ptr<Core> core_;
  Client client_;
  Topic topic_;
  Queue queue_;
  std::vector<DeliveryReport> refused_;
  std::optional<std::string> fatal_;
};

// ---- Reader

class KafkaReader final : public Reader {
 public:
  KafkaReader(std::shared_ptr<Core> core, std::string topic, std::optional<Offset> from)
      : core_(std::move(core)), name_(std::move(topic)), client_(core_->consumer_for(name_, watch_)) {
    if (!client_) return;
    topic_.reset(rd_kafka_topic_new(client_->client.get(), name_.c_str(), nullptr));
    queue_.reset(rd_kafka_queue_new(client_->client.get()));
    rd_kafka_queue_cb_event_enable(queue_.get(), on_queue, core_.get());
    // The beginning mostly is 0. Asking Kafka where it is takes a new client half a second.
    guesses_zero_ = !from.has_value();
    start(from ? from->value : 0);
  }

  ~KafkaReader() override {
    if (!client_) return;
    rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
    stop();
    queue_.reset();
    topic_.reset();
    core_->release(*client_, name_);
  }

  void poll(std::size_t max, std::vector<ReadEvent>& out) override {
    if (lost_) return;
    if (!started_) return lose("the client cannot read the topic", out);
    std::uint64_t bytes = 0;
    std::uint64_t records = 0;
    for (std::size_t given = 0; given < max && !lost_; ++given) {
      Message message(rd_kafka_consume_queue(queue_.get(), 0));
      if (!message) break;
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_error(*message, out);
        continue;
      }
      guesses_zero_ = false;
      out.emplace_back(Record{{message->offset},
                              std::string(static_cast<const char*>(message->payload), message->len),
                              std::max<std::int64_t>(0, rd_kafka_message_timestamp(message.get(), nullptr))});
      bytes += message->len;
      ++records;
    }
    core_->read.fetch_add(records, std::memory_order_relaxed);
    core_->read_bytes.fetch_add(bytes, std::memory_order_relaxed);
    if (watch_->gone.load() && !lost_) lose("the topic does not exist", out);
    if (core_->health.changes() != seen_changes_) look_at_health(out);
  }

 private:
  void start(std::int64_t offset) {
    started_ = rd_kafka_consume_start_queue(topic_.get(), 0, offset, queue_.get()) == 0;
  }
  void stop() {
    if (started_) rd_kafka_consume_stop(topic_.get(), 0);
  }
  void take_error(const rd_kafka_message_t& message, std::vector<ReadEvent>& out) {
    if (message.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET && guesses_zero_) {
      guesses_zero_ = false;
      stop();
      return start(RD_KAFKA_OFFSET_BEGINNING);
    }
    switch (message.err) {
      case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        guesses_zero_ = false;
        out.emplace_back(AtEnd{{message.offset}});
        return;
      case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
      case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return lose(rd_kafka_message_errstr(&message), out);
      default:
        return say_unreachable(rd_kafka_message_errstr(&message), out);
    }
  }
  void lose(const std::string& reason, std::vector<ReadEvent>& out) {
    lost_ = true;
    out.emplace_back(CursorLost{reason});
  }
  void say_unreachable(const std::string& reason, std::vector<ReadEvent>& out) {
    if (reason == said_) return;
    said_ = reason;
    out.emplace_back(Unreachable{reason});
  }
  void look_at_health(std::vector<ReadEvent>& out) {
    seen_changes_ = core_->health.changes();
    LogHealth now = core_->health.get();
    if (now.reachable) said_.clear();
    if (!now.reachable && !lost_) say_unreachable(now.reason, out);
  }

  std::shared_ptr<Core> core_;
  std::string name_;
  std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
  std::shared_ptr<ConsumerClient> client_;
  Topic topic_;
  Queue queue_;
  bool started_ = false;
  bool guesses_zero_ = false;  // no offset was asked for, nothing has come yet
  bool lost_ = false;
  std::string said_;  // the newest Unreachable
  std::uint64_t seen_changes_ = 0;
};

}  // namespace

// ---- KafkaLog

KafkaLog::KafkaLog(std::shared_ptr<Core> core) : core_(std::move(core)) {}

KafkaLog::~KafkaLog() {
  core_->owner.leave();
}

Result<std::unique_ptr<KafkaLog>> KafkaLog::open(const KafkaOptions& options, std::function<void()> wake,
                                                 KafkaLogLine log) {
  auto core = std::make_shared<Core>(options);
  core->owner.wake_call = std::move(wake);
  core->owner.log_call = std::move(log);
  for (const Settings& settings : {consumer_settings(), producer_settings(options.linger)}) {
    if (auto conf = core->make_conf(settings); !conf) return std::move(conf).error();
  }
  if (auto started = core->start(); !started) return std::move(started).error();
  return std::unique_ptr<KafkaLog>(new KafkaLog(std::move(core)));
}

std::unique_ptr<Appender> KafkaLog::open_appender(const std::string& topic) {
  return std::make_unique<KafkaAppender>(core_, topic);
}

std::unique_ptr<Reader> KafkaLog::open_reader(const std::string& topic, std::optional<Offset> from) {
  return std::make_unique<KafkaReader>(core_, topic, from);
}

std::unique_ptr<Pending<void>> KafkaLog::ensure_topic(const TopicSpec& spec) {
  auto pending = std::make_shared<KafkaPending<void>>();
  core_->enqueue([core = core_.get(), pending, spec] {
    Result<void> made = core->create(spec);
    pending->answer(made ? core->await_leader(spec.name) : made);
  });
  return std::make_unique<PendingHandle<void>>(std::move(pending));
}

std::unique_ptr<Pending<std::vector<TopicInfo>>> KafkaLog::survey(const std::string& prefix) {
  auto pending = std::make_shared<KafkaPending<std::vector<TopicInfo>>>();
  core_->enqueue([core = core_.get(), pending, prefix] { pending->answer(core->list(prefix)); });
  return std::make_unique<PendingHandle<std::vector<TopicInfo>>>(std::move(pending));
}

LogHealth KafkaLog::health() const {
  return core_->health.get();
}

std::vector<std::pair<std::string, double>> KafkaLog::gauges() const {
  std::lock_guard lock(core_->clients_mutex);
  return {{"kafka_records_acknowledged", static_cast<double>(core_->acknowledged.load())},
          {"kafka_records_failed", static_cast<double>(core_->failed.load())},
          {"kafka_records_read", static_cast<double>(core_->read.load())},
          {"kafka_read_bytes", static_cast<double>(core_->read_bytes.load())},
          {"kafka_consumer_clients", static_cast<double>(core_->clients.size())}};
}

}  // namespace refrain::replication
