// SPDX-License-Identifier: Apache-2.0
#include "cli/config_load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "cli/config_keys.h"
#include "cli/kafka_properties.h"

namespace refrain::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ConfigLoad : public testing::Test {
 protected:
  void SetUp() override {
    auto name = testing::UnitTest::GetInstance()->current_test_info()->name();
    dir_ = std::filesystem::temp_directory_path() /
           (std::string("refrain-config-") + name + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string write(const std::string& name, const std::string& text) {
    auto path = (dir_ / name).string();
    std::ofstream(path) << text;
    return path;
  }

  tl::expected<LoadedConfig, ConfigErrors> load(const std::string& yaml,
                                                std::map<std::string, std::string> environment = {},
                                                std::vector<Setting> flags = {}) {
    file_ = write("eu.yaml", yaml);
    return load_config({file_, std::move(environment), std::move(flags)});
  }

  /// The errors of a file, each without the directory: "eu.yaml:3: ...".
  ConfigErrors errors_of(const std::string& yaml, std::map<std::string, std::string> environment = {}) {
    auto loaded = load(yaml, std::move(environment));
    if (loaded) return {};
    ConfigErrors out = loaded.error();
    for (std::string& error : out)
      if (error.starts_with(dir_.string())) error.erase(0, dir_.string().size() + 1);
    return out;
  }

  static std::string origin_of(const LoadedConfig& loaded, const std::string& name) {
    for (const EffectiveValue& value : loaded.values)
      if (value.name == name) return std::filesystem::path(value.origin).filename();
    return "no such key";
  }
  static std::string value_of(const LoadedConfig& loaded, const std::string& name) {
    for (const EffectiveValue& value : loaded.values)
      if (value.name == name) return value.value;
    return "no such key";
  }

  std::filesystem::path dir_;
  std::string file_;
};

constexpr const char* kWhole = R"(cluster: shop
node: {name: eu, region: eu-west-1, data_dir: /var/lib/refrain}
http: {listen: 127.0.0.1:8081, advertise: "http://eu.shop:8080", insecure: false,
       max_connections: 4097, max_waiters: 1025, idle_timeout: 61s, request_timeout: 31s, shutdown_timeout: 11s}
kafka: {brokers: [k1:9092, k2:9092], replication_factor: 4, min_insync_replicas: 3, retention: 8d, properties: {security.protocol: SASL_SSL}}
publish: {window: 10001, attempt_timeout: 11s, retry: {initial: 2s, max: 11s}, breaker: {failures: 6, open_for: 31s}}
clock: {max_drift: 501ms}
limits: {key: 1000, value: 511KiB, commit: 899KiB, response: 255KiB, max_lease: 2h, queued_commits: 8193,
         rate: {orders: {per_second: 5000, burst: 10000}}}
conflicts: {max_age: 31d, max_bytes: 2GiB, value_cap: 63KiB}
requests:
  defaults: {scope: local, lease: 31s, on_expiry: retry, response_ttl: 25h, seen_ttl: 31d}
  namespaces: {payments: {scope: "home:eu", on_expiry: hold, seen_ttl: 90d}}
store: {cache: 511MiB, write_buffer: 63MiB, max_total_wal_size: 127MiB, open_timeout: 61s, snapshot_rate: 99MiB}
log: {level: warn, format: json}
)";

TEST_F(ConfigLoad, EveryKeyOfTheDocumentationWorks) {
  auto loaded = load(kWhole);
  ASSERT_TRUE(loaded) << loaded.error().front();
  for (const EffectiveValue& value : loaded->values) EXPECT_NE(value.origin, "default") << value.name;
  const node::Config& c = loaded->config;
  EXPECT_EQ(c.cluster, "shop");
  EXPECT_EQ(c.http.port, 8081);
  EXPECT_EQ(c.http.advertise, "http://eu.shop:8080");
  EXPECT_EQ(c.http.max_connections, 4097u);
  EXPECT_THAT(c.kafka.brokers, ElementsAre("k1:9092", "k2:9092"));
  EXPECT_EQ(c.kafka.retention, 8 * node::kDay);
  EXPECT_EQ(c.kafka.properties.at("security.protocol"), "SASL_SSL");
  EXPECT_EQ(c.publish.breaker.open_for, Milliseconds{31'000});
  EXPECT_EQ(c.limits.value_bytes, 511 * node::kKiB);
  EXPECT_EQ(c.limits.rate.at("orders").burst, 10'000u);
  EXPECT_EQ(c.log.format, node::LogFormat::kJson);
  EXPECT_EQ(c.log.level, node::LogLevel::kWarn);
}

TEST_F(ConfigLoad, ANamespaceTakesWhatItLeavesOutFromTheDefaults) {
  auto loaded = load(kWhole);
  ASSERT_TRUE(loaded);
  const node::RequestRules& payments = loaded->config.requests.of("payments");
  EXPECT_EQ(format_scope(payments.scope), "home:eu");
  EXPECT_EQ(payments.on_expiry, node::OnExpiry::kHold);
  EXPECT_EQ(payments.seen_ttl, 90 * node::kDay);
  EXPECT_EQ(payments.lease, Milliseconds{31'000});
  EXPECT_EQ(payments.response_ttl, 25 * node::kHour);
}

TEST_F(ConfigLoad, DefaultsSetByAFlagReachTheNamespacesOfTheFile) {
  auto loaded =
      load("requests: {namespaces: {orders: {on_expiry: hold}}}", {},
           {{{"requests", "defaults", "lease"}, "7s", Setting::Kind::kScalar, "--requests.defaults.lease"}});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.requests.of("orders").lease, Milliseconds{7'000});
  EXPECT_EQ(origin_of(*loaded, "requests.namespaces.orders.lease"), "--requests.defaults.lease");
}

TEST_F(ConfigLoad, AnEmptyFileAndNoFileGiveTheDefaults) {
  for (const char* yaml :
       {"", "# nothing\n", "---\n", "{}", "http:\nkafka:\n", "requests: {namespaces: {orders: }}"}) {
    auto loaded = load(yaml);
    ASSERT_TRUE(loaded) << yaml << loaded.error().front();
    EXPECT_EQ(loaded->config.http.port, 8080);
    EXPECT_EQ(loaded->config.kafka.replication_factor, 3);
  }
  EXPECT_TRUE(load_config({}));
}

TEST_F(ConfigLoad, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  std::vector<Setting> flags = {
      {{"http", "idle_timeout"}, "4s", Setting::Kind::kScalar, "--http.idle_timeout"}};
  auto loaded = load("http:\n  idle_timeout: 2s\n  request_timeout: 2s\n  shutdown_timeout: 2s\n",
                     {{"REFRAIN_HTTP_IDLE_TIMEOUT", "3s"}, {"REFRAIN_HTTP_REQUEST_TIMEOUT", "3s"}}, flags);
  ASSERT_TRUE(loaded);
  const auto& http = loaded->config.http;
  EXPECT_EQ(http.idle_timeout, Milliseconds{4'000});
  EXPECT_EQ(http.request_timeout, Milliseconds{3'000});
  EXPECT_EQ(http.shutdown_timeout, Milliseconds{2'000});
  EXPECT_EQ(origin_of(*loaded, "http.idle_timeout"), "--http.idle_timeout");
  EXPECT_EQ(origin_of(*loaded, "http.request_timeout"), "REFRAIN_HTTP_REQUEST_TIMEOUT");
  EXPECT_EQ(origin_of(*loaded, "http.shutdown_timeout"), "eu.yaml:4");
  EXPECT_EQ(origin_of(*loaded, "http.listen"), "default");
}

TEST_F(ConfigLoad, TheEnvironmentGivesListsSeparatedByCommas) {
  auto loaded =
      load("cluster: shop\nnode: {name: eu}\n", {{"REFRAIN_KAFKA_BROKERS", "k1:9092, k2,[::1]:9092"}});
  ASSERT_TRUE(loaded) << loaded.error().front();
  EXPECT_THAT(loaded->config.kafka.brokers, ElementsAre("k1:9092", "k2", "[::1]:9092"));
}

TEST_F(ConfigLoad, ASecretMayStandInAFileOfItsOwnAndIsNeverShown) {
  auto secret = write("password", "hunter2\n");
  auto loaded = load("kafka: {properties: {sasl.username: me, ssl.key.password: opensesame}}",
                     {{"REFRAIN_KAFKA_PROPERTIES_SASL_PASSWORD_FILE", secret}});
  ASSERT_TRUE(loaded) << loaded.error().front();
  EXPECT_EQ(loaded->config.kafka.properties.at("sasl.password"), "hunter2");
  EXPECT_EQ(value_of(*loaded, "kafka.properties.sasl.password"), "********");
  EXPECT_EQ(value_of(*loaded, "kafka.properties.ssl.key.password"), "********");
  EXPECT_EQ(value_of(*loaded, "kafka.properties.sasl.username"), "me");
  EXPECT_EQ(origin_of(*loaded, "kafka.properties.sasl.password"),
            "REFRAIN_KAFKA_PROPERTIES_SASL_PASSWORD_FILE");
}

TEST_F(ConfigLoad, AValueAndItsFileAtOnceAreAnError) {
  auto file = write("name", "eu");
  EXPECT_THAT(errors_of("", {{"REFRAIN_NODE_NAME", "us"}, {"REFRAIN_NODE_NAME_FILE", file}}),
              ElementsAre("REFRAIN_NODE_NAME_FILE: REFRAIN_NODE_NAME is set as well"));
  EXPECT_THAT(errors_of("", {{"REFRAIN_NODE_NAME_FILE", "/no/such/file"}}),
              ElementsAre(HasSubstr("cannot be read")));
}

TEST_F(ConfigLoad, AVariableThatSetsNothingIsAWarningSinceOrchestratorsSetSome) {
  auto loaded =
      load("", {{"REFRAIN_PORT", "tcp://10.0.0.1:80"}, {"REFRAIN_SERVER", "http://x"}, {"HOME", "/"}});
  ASSERT_TRUE(loaded);
  EXPECT_THAT(loaded->warnings, ElementsAre("REFRAIN_PORT: this variable sets nothing"));
}

TEST_F(ConfigLoad, AWrongVariableNamesItself) {
  EXPECT_THAT(
      errors_of("", {{"REFRAIN_PUBLISH_WINDOW", "many"}}),
      ElementsAre("REFRAIN_PUBLISH_WINDOW: publish.window: 'many' is not a whole number from 1 to 100000"));
}

TEST_F(ConfigLoad, UnknownKeysAreErrorsWithFileAndLineAndTheNearestKey) {
  EXPECT_THAT(errors_of("cluster: shop\nhttp:\n  listn: 127.0.0.1:8080\n"),
              ElementsAre("eu.yaml:3: http.listn: unknown key; did you mean http.listen?"));
  EXPECT_THAT(errors_of("htpp: {}\n"), ElementsAre("eu.yaml:1: htpp: unknown key"));
  EXPECT_THAT(errors_of("zebra:\n"), ElementsAre("eu.yaml:1: zebra: unknown key"));
  EXPECT_THAT(errors_of("requests: {namespaces: {orders: {leese: 3s}}}"),
              ElementsAre(StartsWith("eu.yaml:1: requests.namespaces.orders.leese: unknown key")));
  EXPECT_THAT(errors_of("limits: {rate: {orders: {per_minute: 3}}}"),
              ElementsAre(StartsWith("eu.yaml:1: limits.rate.orders.per_minute: unknown key")));
}

TEST_F(ConfigLoad, AllErrorsAreNamedAtOnce) {
  EXPECT_EQ(errors_of("cluster: Shop\nnode: {name: all}\nlog: {level: loud}\n").size(), 3u);
}

TEST_F(ConfigLoad, EachValueIsCheckedAndItsErrorSaysWhatIsWanted) {
  struct Case {
    const char* yaml;
    const char* error;
  };
  const Case cases[] = {
      {"cluster: Shop", "eu.yaml:1: cluster: 'Shop' is not a name"},
      {"node: {name: claims}", "eu.yaml:1: node.name: 'claims' is not a node name"},
      {"node:\n  data_dir: ''", "eu.yaml:2: node.data_dir: '' is not a path"},
      {"node: {region: \"a\\tb\"}", "eu.yaml:1: node.region: 'a\tb' is not a label"},
      {"http: {listen: 8080}", "eu.yaml:1: http.listen: '8080' is not an address and a port"},
      {"http: {listen: 'eu.shop:8080'}",
       "eu.yaml:1: http.listen: 'eu.shop:8080' does not begin with an IP address"},
      {"http: {listen: '127.0.0.1:65536'}",
       "eu.yaml:1: http.listen: '127.0.0.1:65536' has no port from 0 to 65535"},
      {"http: {listen: '::1:8080'}", "eu.yaml:1: http.listen: '::1:8080' needs brackets"},
      {"http: {advertise: 'eu:8080'}", "eu.yaml:1: http.advertise: 'eu:8080' is not a URL"},
      {"http: {advertise: 'http://eu:8080/v1'}",
       "eu.yaml:1: http.advertise: 'http://eu:8080/v1' is not a URL"},
      {"http: {insecure: yes}", "eu.yaml:1: http.insecure: 'yes' is neither true nor false"},
      {"http: {max_connections: 0}",
       "eu.yaml:1: http.max_connections: '0' is not a whole number from 1 to 1000000"},
      {"http: {max_connections: 1e3}", "eu.yaml:1: http.max_connections: '1e3' is not a whole number"},
      {"http: {idle_timeout: 60}", "eu.yaml:1: http.idle_timeout: '60' is not a duration such as 30s"},
      {"http: {idle_timeout: 99ms}", "eu.yaml:1: http.idle_timeout: '99ms' is not from 100ms to 1d"},
      {"kafka: {brokers: ['k1:0']}", "eu.yaml:1: kafka.brokers: 'k1:0' is not a broker"},
      {"kafka: {brokers: [k1, '']}", "eu.yaml:1: kafka.brokers: 'k1,' has an empty item"},
      {"limits: {value: 512KB}", "eu.yaml:1: limits.value: '512KB' is not a size such as 512KiB"},
      {"limits: {commit: 1MiB}", "eu.yaml:1: limits.commit: '1MiB' is not from 1 to 900KiB"},
      {"limits: {rate: {Orders: {per_second: 1}}}", "eu.yaml:1: limits.rate: 'Orders' is not a namespace"},
      {"limits: {rate: {orders: {per_second: 0}}}",
       "eu.yaml:1: limits.rate.orders.per_second: '0' is not a whole number"},
      {"limits: {rate: {orders: {burst: 5}}}",
       "eu.yaml:1: limits.rate.orders: has a burst but no per_second"},
      {"requests: {defaults: {scope: home}}",
       "eu.yaml:1: requests.defaults.scope: 'home' is none of local, home:NODE, global"},
      {"requests: {defaults: {on_expiry: stop}}",
       "eu.yaml:1: requests.defaults.on_expiry: 'stop' is none of retry, hold"},
      {"requests: {namespaces: {_http-kv: {lease: 1s}}}",
       "eu.yaml:1: requests.namespaces: '_http-kv' is not a namespace"},
      {"log: {format: xml}", "eu.yaml:1: log.format: 'xml' is none of text, json"},
  };
  for (const Case& c : cases) EXPECT_THAT(errors_of(c.yaml), ElementsAre(StartsWith(c.error))) << c.yaml;
}

TEST_F(ConfigLoad, ShapesThatDoNotFitAreErrorsWithTheirLine) {
  EXPECT_THAT(errors_of("http: 5"), ElementsAre("eu.yaml:1: http: is a section of keys, not a value"));
  EXPECT_THAT(errors_of("cluster: [a, b]"), ElementsAre("eu.yaml:1: cluster: is one value, not a list"));
  EXPECT_THAT(errors_of("cluster:"), ElementsAre("eu.yaml:1: cluster: has no value"));
  EXPECT_THAT(errors_of("cluster: a\n\ncluster: b"), ElementsAre("eu.yaml:3: cluster: stands here twice"));
  EXPECT_THAT(errors_of("kafka:\n  brokers:\n    - {a: b}"),
              ElementsAre("eu.yaml:3: kafka.brokers: has an item that is no plain text"));
  EXPECT_THAT(errors_of("? [a]\n: b"), ElementsAre("eu.yaml:1: : has a key that is no plain text"));
  EXPECT_THAT(errors_of("- a"), ElementsAre(StartsWith("eu.yaml:1: is no map of keys")));
  EXPECT_THAT(errors_of("cluster: a\n---\ncluster: b"),
              ElementsAre("eu.yaml:3: holds more than one document"));
  EXPECT_THAT(errors_of(","), ElementsAre("eu.yaml:1: holds more than one document"));
  EXPECT_THAT(errors_of("cluster: shop\nnode: {name: eu\n"),
              ElementsAre(testing::MatchesRegex("eu.yaml:[0-9]+: is no YAML: .*")));
}

TEST_F(ConfigLoad, AFileThatCannotBeReadIsAnError) {
  for (const std::string& file : {dir_.string(), (dir_ / "none.yaml").string()}) {
    auto loaded = load_config({file, {}, {}});
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error(), ElementsAre(StartsWith(file + ": cannot be read: ")));
  }
}

TEST_F(ConfigLoad, BeyondLoopbackNeedsAnExplicitWord) {
  EXPECT_THAT(errors_of("http:\n  listen: 0.0.0.0:8080"),
              ElementsAre(AllOf(StartsWith("eu.yaml:2: http.listen: '0.0.0.0:8080'"),
                                HasSubstr("http.insecure: true"))));
  EXPECT_THAT(errors_of("http: {listen: '[::]:8080'}"), ElementsAre(HasSubstr("http.insecure: true")));
  EXPECT_THAT(errors_of("http: {listen: 10.0.0.1:8080, insecure: true}"), ElementsAre());
  for (const char* loopback : {"127.0.0.1:0", "127.1.2.3:80", "'[::1]:8080'", "localhost:8080"})
    EXPECT_THAT(errors_of(std::string("http: {listen: ") + loopback + "}"), ElementsAre()) << loopback;
}

TEST_F(ConfigLoad, WithBrokersTheNodeMustBeNamedAndReachable) {
  EXPECT_THAT(errors_of("kafka: {brokers: [k1]}"),
              ElementsAre(HasSubstr("needs cluster"), HasSubstr("needs node.name")));
  EXPECT_THAT(
      errors_of(
          "cluster: c\nnode: {name: eu}\nkafka: {brokers: [k1]}\nhttp: {listen: 0.0.0.0:80, insecure: true}"),
      ElementsAre(HasSubstr("http.advertise")));
}

TEST_F(ConfigLoad, ValuesThatDoNotGoTogetherAreErrorsAtTheOneThatWasSet) {
  const std::string kafka = "cluster: c\nnode: {name: eu}\n";
  EXPECT_THAT(errors_of("\nrequests:\n  defaults:\n    response_ttl: 31d"),
              ElementsAre(StartsWith(
                  "eu.yaml:4: requests.defaults.response_ttl: 31d is longer than seen_ttl (30d)")));
  EXPECT_THAT(errors_of("requests: {namespaces: {a: {seen_ttl: 1h}}}"),
              ElementsAre(StartsWith("eu.yaml:1: requests.namespaces.a.response_ttl: 1d is longer")));
  EXPECT_THAT(errors_of("requests: {defaults: {lease: 61m}}"),
              ElementsAre(StartsWith(
                  "eu.yaml:1: requests.defaults.lease: 61m is longer than limits.max_lease (1h)")));
  EXPECT_THAT(errors_of("\nlimits: {max_lease: 1s}"),
              ElementsAre(StartsWith("eu.yaml:2: requests.defaults.lease: 30s is longer")));
  EXPECT_THAT(
      errors_of("limits: {commit: 300KiB}"),
      ElementsAre(StartsWith("eu.yaml:1: limits.value: 512KiB is larger than limits.commit (300KiB)")));
  EXPECT_THAT(errors_of("publish: {retry: {initial: 11s}}"),
              ElementsAre(StartsWith(
                  "eu.yaml:1: publish.retry.initial: 11s is longer than publish.retry.max (10s)")));
  EXPECT_THAT(errors_of(kafka + "kafka: {brokers: [k], replication_factor: 1}"),
              ElementsAre(StartsWith("eu.yaml:3: kafka.min_insync_replicas: 2 is more than")));
}

TEST_F(ConfigLoad, LimitsAreTakenAtTheirEndsAndNotOneBeyond) {
  for (const char* good : {"limits: {key: 1KiB}", "limits: {value: 900KiB}", "publish: {window: 100000}",
                           "limits: {max_lease: 1d}", "requests: {defaults: {lease: 1h}}",
                           "requests: {defaults: {response_ttl: 30d}}"})
    EXPECT_THAT(errors_of(good), ElementsAre()) << good;
  for (const char* bad : {"limits: {key: 1025}", "limits: {value: 921601}", "publish: {window: 100001}",
                          "limits: {max_lease: 86400001ms}", "requests: {defaults: {lease: 3600001ms}}",
                          "requests: {defaults: {response_ttl: 2592000001ms}}"})
    EXPECT_EQ(errors_of(bad).size(), 1u) << bad;
}

TEST_F(ConfigLoad, KafkaPropertiesThatCarryAGuaranteeAreRefusedWithTheReason) {
  for (const char* name : {"acks", "request.required.acks", "enable.idempotence", "auto.offset.reset",
                           "allow.auto.create.topics", "enable.auto.commit", "message.timeout.ms",
                           "max.in.flight", "max.in.flight.requests.per.connection", "transactional.id",
                           "group.id", "partitioner", "enable.partition.eof", "bootstrap.servers", "retries",
                           "message.max.bytes", "dr_msg_cb", "linger.ms", "client.id"})
    EXPECT_THAT(
        errors_of(std::string("kafka:\n  properties:\n    ") + name + ": x"),
        ElementsAre(testing::ContainsRegex("^eu.yaml:3: kafka.properties: [a-z._]+ cannot be set: .{20}")))
        << name;
  for (const char* good : {"security.protocol: SASL_SSL", "ssl.ca.location: x", "sasl.mechanisms: PLAIN",
                           "socket.keepalive.enable: true", "debug: broker", "compression.type: lz4"})
    EXPECT_THAT(errors_of(std::string("kafka: {properties: {") + good + "}}"), ElementsAre()) << good;
}

TEST_F(ConfigLoad, AKafkaPropertyThatLibrdkafkaDoesNotTakeIsNamedWithItsPlace) {
  EXPECT_THAT(errors_of("kafka:\n  properties:\n    socket.keepalive.enabled: true\n"),
              ElementsAre(StartsWith("eu.yaml:3: kafka.properties: socket.keepalive.enabled: No such")));
  EXPECT_THAT(
      errors_of("kafka:\n  properties:\n    security.protocol: SSSL\n    fetch.min.bytes: 0\n"),
      ElementsAre(AllOf(StartsWith("eu.yaml:3: kafka.properties: security.protocol:"), HasSubstr("SSSL")),
                  StartsWith("eu.yaml:4: kafka.properties: fetch.min.bytes:")));
  EXPECT_THAT(errors_of("", {{"REFRAIN_KAFKA_PROPERTIES_NONSENSE", "1"}}),
              ElementsAre(StartsWith("REFRAIN_KAFKA_PROPERTIES_NONSENSE: kafka.properties: nonsense:")));
  // Nobody knows what librdkafka says of a value that must not be shown.
  EXPECT_THAT(errors_of("kafka:\n  properties:\n    sasl.passwort: hunter2\n    my.secret: hunter2\n"),
              ElementsAre(Not(HasSubstr("hunter2")),
                          "eu.yaml:4: kafka.properties: my.secret: librdkafka does not take it"));
}

TEST(KafkaProperties, ThatEndInPasswordOrPassphraseAreSecret) {
  for (const char* name :
       {"sasl.password", "ssl.key.password", "ssl.keystore.password",
        "sasl.oauthbearer.assertion.private.key.passphrase", "sasl.oauthbearer.client.secret"})
    EXPECT_TRUE(is_secret_property(name)) << name;
  for (const char* name :
       {"sasl.username", "ssl.key.location", "sasl.oauthbearer.token.endpoint.url", "debug"})
    EXPECT_FALSE(is_secret_property(name)) << name;
}

TEST_F(ConfigLoad, AGuaranteeCannotBeSetThroughTheEnvironmentEither) {
  EXPECT_THAT(errors_of("", {{"REFRAIN_KAFKA_PROPERTIES_ACKS", "1"}}),
              ElementsAre(StartsWith("REFRAIN_KAFKA_PROPERTIES_ACKS: kafka.properties: acks cannot be set")));
}

TEST_F(ConfigLoad, ANulIsNoPartOfANameOrAValue) {
  for (const char* bad :
       {"http: {listen: \"127.0.0.1\\0:1\"}", "cluster: \"a\\0b\"", "kafka: {brokers: [\"k\\0:1\"]}",
        "kafka: {properties: {\"acks\\0\": x}}", "requests: {namespaces: {a: {lease: \"1s\\0\"}}}"})
    EXPECT_THAT(errors_of(bad), ElementsAre(AllOf(StartsWith("eu.yaml:1: "), HasSubstr("holds a NUL"))))
        << bad;
}

TEST_F(ConfigLoad, EveryKeyReadsBackWhatItPrints) {
  auto loaded = load(kWhole);
  ASSERT_TRUE(loaded);
  for (const Key& key : keys()) {
    node::Config copy;
    std::string text = key.get(loaded->config);
    EXPECT_EQ(key.set(copy, text), std::nullopt) << key.path;
    EXPECT_EQ(key.get(copy), text) << key.path;
  }
}

TEST(DeployedConfig, KeepsItsDataWhereANormalUserMay) {
  for (const std::string node : {"eu", "us", "ap"}) {
    ConfigSources sources;
    sources.file = std::string(REFRAIN_SOURCE_DIR) + "/deploy/" + node + ".yaml";
    auto loaded = load_config(sources);
    ASSERT_TRUE(loaded) << loaded.error().front();
    EXPECT_EQ(loaded->config.node.data_dir, "./data/" + node);
  }
}

TEST(ConfigKeys, EachHasItsVariable) {
  EXPECT_EQ(environment_name("kafka.brokers"), "REFRAIN_KAFKA_BROKERS");
  EXPECT_EQ(environment_name("publish.retry.initial"), "REFRAIN_PUBLISH_RETRY_INITIAL");
}

TEST(ConfigKeys, NoTwoHaveTheSameVariableAndNoneLooksLikeAFile) {
  std::set<std::string> seen;
  for (const Key& key : keys()) {
    EXPECT_TRUE(seen.insert(environment_name(key.path)).second) << key.path;
    EXPECT_FALSE(environment_name(key.path).ends_with("_FILE")) << key.path;
  }
}

}  // namespace
}  // namespace refrain::cli
