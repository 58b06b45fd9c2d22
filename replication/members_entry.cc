// SPDX-License-Identifier: Apache-2.0
#include "replication/members_entry.h"

#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <utility>

#include "base/result.h"
#include "base/text.h"

namespace refrain::replication {

namespace json = boost::json;

namespace {

constexpr std::array<std::pair<EntryKind, std::string_view>, 7> kKinds{{{EntryKind::kFound, "found"},
                                                                        {EntryKind::kJoin, "join"},
                                                                        {EntryKind::kActive, "active"},
                                                                        {EntryKind::kEvict, "evict"},
                                                                        {EntryKind::kLeave, "leave"},
                                                                        {EntryKind::kLast, "last"},
                                                                        {EntryKind::kUpdate, "update"}}};

bool carries_traits(EntryKind kind) {
  return kind == EntryKind::kFound || kind == EntryKind::kJoin || kind == EntryKind::kUpdate;
}

// ---- writing

std::string cluster_text(ClusterId cluster) {
  return format_hex64(cluster.value).substr(8);
}

json::object journal_object(const Journal& journal) {
  return {{"node", journal.node}, {"incarnation", format_hex64(journal.incarnation.value)}};
}

json::object word_object(const Word& word) {
  return {{"of", format_hex64(word.of.value)}, {"seq", word.seq.value}};
}

void add_traits(json::object& out, const MemberTraits& traits) {
  out["region"] = traits.region;
  out["address"] = traits.address;
  out["formats"] = {{"min", traits.formats.min}, {"max", traits.formats.max}};
  out["namespaces_hash"] = hex_encode(as_bytes(traits.namespaces_hash));
  if (traits.scopes.empty()) return;
  json::object scopes;
  for (const auto& [ns, scope] : traits.scopes) scopes[ns] = scope;
  out["scopes"] = std::move(scopes);
}

void add_needs(json::object& out, const MembersEntry& entry) {
  switch (entry.kind) {
    case EntryKind::kJoin:
      out["replaces"] = nullptr;
      if (entry.replaces) out["replaces"] = format_hex64(entry.replaces->value);
      break;
    case EntryKind::kActive: {
      json::array words;
      for (const Word& word : entry.words) words.push_back(word_object(word));
      out["words"] = std::move(words);
      break;
    }
    case EntryKind::kLast:
      REFRAIN_ASSERT(entry.words.size() == 1, "a last entry says one word");
      for (const auto& [key, value] : word_object(entry.words.front())) out[key] = value;
      break;
    default:
      break;
  }
  if (carries_traits(entry.kind)) add_traits(out, entry.traits);
}

// ---- reading: each step gives false, and `why`, when the bytes are no entry

class EntryReader {
 public:
  explicit EntryReader(const json::object& object) : object_(object) {}

  bool read(MembersEntry& entry) {
    return hash("prev", entry.prev) && name("node", entry.node) &&
           incarnation(object_, "incarnation", entry.incarnation) && by(entry.by) && at(entry.at) &&
           needs(entry);
  }
  bool number(const json::object& object, std::string_view key, std::uint64_t& out) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr) return fail(key);
    if (const auto* unsigned_value = value->if_uint64()) {
      out = *unsigned_value;
      return true;
    }
    if (!value->is_int64() || value->get_int64() < 0) return fail(key);
    out = static_cast<std::uint64_t>(value->get_int64());
    return true;
  }
  const std::string& why() const { return why_; }

 private:
  bool fail(std::string_view key) {
    why_ = "its member " + std::string(key) + " is missing or malformed";
    return false;
  }
  bool text(const json::object& object, std::string_view key, std::string& out) {
    const json::value* value = object.if_contains(key);
    if (value == nullptr || !value->is_string()) return fail(key);
    out = value->get_string();
    return true;
  }
  bool small(const json::object& object, std::string_view key, std::uint32_t& out) {
    std::uint64_t value = 0;
    if (!number(object, key, value)) return false;
    if (value > 0xFFFF'FFFF) return fail(key);
    out = static_cast<std::uint32_t>(value);
    return true;
  }
  bool hash(std::string_view key, Sha256& out) {
    std::string hex;
    if (!text(object_, key, hex)) return false;
    auto bytes = hex_decode(hex);
    if (!bytes || bytes->size() != out.size()) return fail(key);
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return true;
  }
  bool name(std::string_view key, NodeName& out) {
    return text(object_, key, out) && (valid_node_name(out) || fail(key));
  }
  bool incarnation(const json::object& object, std::string_view key, Incarnation& out) {
    std::string hex;
    if (!text(object, key, hex)) return false;
    auto value = parse_hex64(hex);
    if (!value) return fail(key);
    out.value = *value;
    return true;
  }
  bool by(Journal& out) {
    const json::value* value = object_.if_contains("by");
    if (value == nullptr || !value->is_object()) return fail("by");
    return text(value->get_object(), "node", out.node) && (valid_node_name(out.node) || fail("by")) &&
           incarnation(value->get_object(), "incarnation", out.incarnation);
  }
  bool at(WallMs& out) {
    std::string time;
    if (!text(object_, "at", time)) return false;
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0, end = 0;
    if (std::sscanf(time.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour, &minute,
                    &second, &ms, &end) != 7)
      return fail("at");
    using namespace std::chrono;
    year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                        std::chrono::day{static_cast<unsigned>(day)}};
    if (!date.ok()) return fail("at");
    auto since = sys_days{date}.time_since_epoch() + hours{hour} + minutes{minute} + seconds{second} +
                 milliseconds{ms};
    out.value = duration_cast<milliseconds>(since).count();
    return format_time(out) == time || fail("at");
  }

  bool word(const json::object& object, Word& out) {
    return incarnation(object, "of", out.of) && number(object, "seq", out.seq.value);
  }
  bool words(std::vector<Word>& out) {
    const json::value* value = object_.if_contains("words");
    if (value == nullptr || !value->is_array()) return fail("words");
    for (const json::value& item : value->get_array()) {
      if (!item.is_object()) return fail("words");
      if (!word(item.get_object(), out.emplace_back())) return false;
    }
    return true;
  }
  bool replaces(std::optional<Incarnation>& out) {
    const json::value* value = object_.if_contains("replaces");
    if (value == nullptr) return fail("replaces");
    if (value->is_null()) return true;
    return incarnation(object_, "replaces", out.emplace());
  }
  bool traits(MemberTraits& out) {
    const json::value* formats = object_.if_contains("formats");
    if (formats == nullptr || !formats->is_object()) return fail("formats");
    return text(object_, "region", out.region) && text(object_, "address", out.address) &&
           small(formats->get_object(), "min", out.formats.min) &&
           small(formats->get_object(), "max", out.formats.max) &&
           hash("namespaces_hash", out.namespaces_hash) && scopes(out.scopes);
  }
  bool scopes(std::map<std::string, std::string>& out) {
    const json::value* value = object_.if_contains("scopes");
    if (value == nullptr) return true;
    if (!value->is_object()) return fail("scopes");
    for (const auto& [ns, scope] : value->get_object()) {
      if (!scope.is_string()) return fail("scopes");
      out[std::string(ns)] = std::string(scope.get_string());
    }
    return true;
  }
  bool needs(MembersEntry& entry) {
    if (entry.kind == EntryKind::kJoin && !replaces(entry.replaces)) return false;
    if (entry.kind == EntryKind::kActive && !words(entry.words)) return false;
    if (entry.kind == EntryKind::kLast && !word(object_, entry.words.emplace_back())) return false;
    return !carries_traits(entry.kind) || traits(entry.traits);
  }

  const json::object& object_;
  std::string why_;
};

tl::unexpected<UnreadableEntry> garbage(std::string detail) {
  return tl::make_unexpected(
      UnreadableEntry{UnreadableEntry::Reason::kGarbage, std::move(detail), std::nullopt});
}

std::optional<ClusterId> read_cluster(const json::object& object) {
  const json::value* value = object.if_contains("cluster_id");
  if (value == nullptr || !value->is_string() || value->get_string().size() != 8) return std::nullopt;
  auto id = parse_hex64("00000000" + std::string(value->get_string()));
  if (!id || *id == 0) return std::nullopt;
  return ClusterId{static_cast<std::uint32_t>(*id)};
}

std::optional<EntryKind> read_kind(std::string_view name) {
  for (const auto& [kind, known] : kKinds) {
    if (known == name) return kind;
  }
  return std::nullopt;
}

/// n, cluster, min_reader and kind: what an entry of every version has. Only then may it be called newer.
tl::expected<MembersEntry, UnreadableEntry> read_frame(const json::object& object,
                                                       std::uint32_t reads_format) {
  MembersEntry entry;
  EntryReader reader(object);
  std::uint64_t min_reader = 0;
  if (!reader.number(object, "n", entry.n) || !reader.number(object, "min_reader", min_reader))
    return garbage(reader.why());
  if (entry.n == 0) return garbage("its n is 0");
  auto cluster = read_cluster(object);
  if (!cluster) return garbage("its cluster_id is missing or malformed");
  entry.cluster = *cluster;
  const json::value* kind = object.if_contains("kind");
  if (kind == nullptr || !kind->is_string()) return garbage("its kind is missing or malformed");
  auto known = read_kind(kind->get_string());
  if (min_reader > reads_format || !known) {
    return tl::make_unexpected(UnreadableEntry{
        UnreadableEntry::Reason::kNewerFormat,
        "entry " + std::to_string(entry.n) + " is of kind '" + std::string(kind->get_string()) +
            "' and for readers of version " + std::to_string(min_reader),
        cluster});
  }
  entry.kind = *known;
  entry.min_reader = static_cast<std::uint32_t>(min_reader);
  return entry;
}

}  // namespace

std::string_view entry_kind_name(EntryKind kind) {
  for (const auto& [known, name] : kKinds) {
    if (known == kind) return name;
  }
  return "unknown";
}

std::optional<Incarnation> ended_by(const MembersEntry& entry) {
  if (entry.kind == EntryKind::kJoin) return entry.replaces;
  if (entry.kind == EntryKind::kEvict || entry.kind == EntryKind::kLeave) return entry.incarnation;
  return std::nullopt;
}

LoggedEntry encode_entry(const MembersEntry& entry) {
  json::object out;
  out["min_reader"] = entry.min_reader;
  out["cluster_id"] = cluster_text(entry.cluster);
  out["n"] = entry.n;
  out["prev"] = hex_encode(as_bytes(entry.prev));
  out["kind"] = entry_kind_name(entry.kind);
  out["node"] = entry.node;
  out["incarnation"] = format_hex64(entry.incarnation.value);
  add_needs(out, entry);
  out["by"] = journal_object(entry.by);
  out["at"] = format_time(entry.at);
  std::string bytes = json::serialize(out);
  Sha256 hash = sha256(bytes);
  return {entry, std::move(bytes), hash};
}

tl::expected<LoggedEntry, UnreadableEntry> decode_entry(std::string_view bytes, std::uint32_t reads_format) {
  if (bytes.size() > kMaxEntryBytes) return garbage("it is longer than any entry");
  boost::system::error_code error;
  json::value document = json::parse({bytes.data(), bytes.size()}, error);
  if (error || !document.is_object()) return garbage("it is no JSON object");
  auto entry = read_frame(document.get_object(), reads_format);
  if (!entry) return tl::make_unexpected(entry.error());
  EntryReader reader(document.get_object());
  if (!reader.read(*entry)) return garbage(reader.why());
  return LoggedEntry{std::move(*entry), std::string(bytes), sha256(bytes)};
}

}  // namespace refrain::replication
