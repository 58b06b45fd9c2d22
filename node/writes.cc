// SPDX-License-Identifier: Apache-2.0
#include "node/writes.h"

#include <fmt/format.h>

#include <set>

#include "base/planted.h"
#include "base/text.h"
#include "store/kv.h"

namespace refrain::node {
namespace {

Error at(Error error, std::size_t index) {
  error.operation = index;
  return error;
}

/// Whether a writer who had seen this much knew the key's version, or one above it in its line.
bool covers(const Vector& seen, const Version& version) {
  auto reaches = [&](std::string_view node) {
    auto found = seen.find(std::string(node));
    return found != seen.end() && version.hlc <= found->second;
  };
  return reaches(kAnyNode) || reaches(version.node);
}

bool moved_on(const Write& write, const std::optional<store::KvRecord>& current) {
  return write.condition.if_seen && current && !covers(*write.condition.if_seen, current->version);
}

Error mismatch(const Write& write, const std::optional<store::KvRecord>& current, bool visible,
               std::size_t index) {
  if (moved_on(write, current)) {
    return at(conflict("version_mismatch",
                       fmt::format("{}/{} has moved on: it {} at {} here, which the writer had not seen.",
                                   write.ns, write.key, current->deleted ? "was deleted" : "is",
                                   format_version(current->version))),
              index);
  }
  std::string have = visible ? fmt::format("is at {}", format_version(current->version)) : "does not exist";
  return at(conflict("version_mismatch",
                     fmt::format("{}/{} {} here. Read it, decide, and write again with its version.",
                                 write.ns, write.key, have)),
            index);
}

bool holds(const Write& write, const std::optional<store::KvRecord>& current, bool visible) {
  if (REFRAIN_PLANTED(condition_ignored)) return true;
  if (moved_on(write, current)) return false;
  const Condition& condition = write.condition;
  if (condition.if_none_match && visible) return false;
  return !condition.if_match || (visible && current->version == *condition.if_match);
}

}  // namespace

Result<void> check_writes(const std::vector<Write>& writes, const LimitSettings& limits) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const Write& write = writes[i];
    if (!valid_namespace(write.ns))
      return at(
          invalid("invalid", fmt::format("'{}' is no namespace: use [a-z0-9][a-z0-9_-]{{0,63}}.", write.ns)),
          i);
    if (!valid_key(write.key, limits.key_bytes)) {
      return at(invalid("invalid", fmt::format("The key is not valid: 1 to {} bytes of UTF-8 without control "
                                               "characters, no empty, '.' or '..' segment.",
                                               limits.key_bytes)),
                i);
    }
    if (write.value && write.value->size() > limits.value_bytes) {
      return at(
          invalid("value_too_large", fmt::format("The value has {} bytes, the limit is {} (limits.value).",
                                                 write.value->size(), limits.value_bytes)),
          i);
    }
    if (!seen.emplace(write.ns, write.key).second) {
      return at(invalid("duplicate_key", fmt::format("{}/{} is written twice in one commit. Write it once.",
                                                     write.ns, write.key)),
                i);
    }
  }
  return {};
}

Result<PreparedWrites> prepare_writes(const store::Draft& draft, const NodeName& node, WallMs now,
                                      const std::vector<Write>& writes) {
  PreparedWrites prepared;
  prepared.operations.reserve(writes.size());
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const Write& write = writes[i];
    auto current = store::read_record(draft, write.ns, write.key);
    if (!current) return current.error();
    bool visible = *current && (*current)->visible(now);
    if (!holds(write, *current, visible)) return mismatch(write, *current, visible, i);
    store::Context ctx = store::context_for_write(*current, node);
    if (write.value) {
      std::optional<WallMs> expires_at = write.ttl ? std::optional(now + *write.ttl) : std::nullopt;
      prepared.operations.emplace_back(
          store::Put{write.ns, write.key, *write.value, expires_at, std::move(ctx)});
    } else {
      prepared.operations.emplace_back(store::Delete{write.ns, write.key, std::move(ctx)});
    }
    prepared.existed.push_back(visible);
  }
  return prepared;
}

}  // namespace refrain::node
