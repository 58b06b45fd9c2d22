// SPDX-License-Identifier: Apache-2.0
#include "cli/kafka_properties.h"

#include <algorithm>
#include <array>

#include "replication/kafka_log.h"

namespace refrain::cli {
namespace {

struct Refused {
  std::string_view name;
  std::string_view why;
};

constexpr std::string_view kOnce = "each commit stands in the log once and in order";
constexpr std::string_view kAcked = "'published' means that all in-sync replicas have a commit";
constexpr std::string_view kNoGroup =
    "a node reads every journal from the cursor in its own store, without a consumer group";
constexpr std::string_view kGaps = "a gap in a journal must be seen, never skipped";
constexpr std::string_view kTopics = "topics are made by the node, with the settings that a journal needs";
constexpr std::string_view kSettled = "Refrain decides when an attempt has failed (publish.attempt_timeout)";
constexpr std::string_view kInternal = "it is how the program itself reads and writes the log";

constexpr std::array kRefused = {
    Refused{"acks", kAcked},
    Refused{"request.required.acks", kAcked},
    Refused{"enable.idempotence", kOnce},
    Refused{"enable.gapless.guarantee", kOnce},
    Refused{"max.in.flight", kOnce},
    Refused{"max.in.flight.requests.per.connection", kOnce},
    Refused{"retries", kOnce},
    Refused{"message.send.max.retries", kOnce},
    Refused{"queuing.strategy", kOnce},
    Refused{"transactional.id",
            "a journal has one writer, its node; transactions would add a second authority"},
    Refused{"transaction.timeout.ms", "there are no transactions"},
    Refused{"isolation.level", "there are no transactions"},
    Refused{"message.timeout.ms", kSettled},
    Refused{"delivery.timeout.ms", kSettled},
    Refused{"request.timeout.ms", kSettled},
    Refused{"partitioner", "a journal has one partition"},
    Refused{"auto.offset.reset", kGaps},
    Refused{"check.crcs", "damage on the way must be seen"},
    Refused{"enable.auto.commit", kNoGroup},
    Refused{"auto.commit.enable", kNoGroup},
    Refused{"auto.commit.interval.ms", kNoGroup},
    Refused{"enable.auto.offset.store", kNoGroup},
    Refused{"group.id", kNoGroup},
    Refused{"group.instance.id", kNoGroup},
    Refused{"group.protocol", kNoGroup},
    Refused{"partition.assignment.strategy", kNoGroup},
    Refused{"enable.partition.eof", kInternal},
    Refused{"allow.auto.create.topics", kTopics},
    Refused{"message.max.bytes", "a commit that passed limits.commit must never be refused later"},
    Refused{"max.message.bytes", "a commit that passed limits.commit must never be refused later"},
    Refused{"message.copy.max.bytes", kInternal},
    Refused{"receive.message.max.bytes", "a commit that another node could send must always be readable"},
    Refused{"produce.offset.report", kInternal},
    Refused{"delivery.report.only.error", "every commit waits for its own report"},
    Refused{"log.queue", kInternal},
    Refused{"opaque", kInternal},
    Refused{"bootstrap.servers", "it has a key of its own: kafka.brokers"},
    Refused{"metadata.broker.list", "it has a key of its own: kafka.brokers"},
    Refused{"plugin.library.paths", "a plug-in could change any of our promises"},
    Refused{"test.mock.num.brokers", "a mock keeps nothing"},
};

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

std::optional<std::string> refused_property(std::string_view name) {
  auto found =
      std::find_if(kRefused.begin(), kRefused.end(), [&](const Refused& r) { return r.name == name; });
  if (found != kRefused.end()) return std::string(found->why);
  // Whatever the log itself refuses is refused here already: a check that passes must be a start that works.
  if (replication::carries_guarantee(name)) return std::string(kInternal);
  return std::nullopt;
}

bool is_secret_property(std::string_view name) {
  constexpr std::array kWords = {"password", "passphrase",         "secret",      "token", "credential",
                                 "key.pem",  "oauthbearer.config", "keystore.pem"};
  // sasl.oauthbearer.token.endpoint.url and the like name a place.
  if (name.ends_with(".url") || name.ends_with(".location")) return false;
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view word) { return contains(name, word); });
}

}  // namespace refrain::cli
