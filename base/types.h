// SPDX-License-Identifier: Apache-2.0
// Numbers with names: what is a sequence number, an offset or a time cannot be passed for another.
#pragma once
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace refrain {

using Milliseconds = std::chrono::milliseconds;
using Nanoseconds = std::chrono::nanoseconds;

/// Wall time: milliseconds since 1970 UTC. May step either way.
struct WallMs {
  std::int64_t value = 0;
  auto operator<=>(const WallMs&) const = default;
  WallMs operator+(Milliseconds d) const { return {value + d.count()}; }
  WallMs operator-(Milliseconds d) const { return {value - d.count()}; }
  Milliseconds operator-(WallMs other) const { return Milliseconds{value - other.value}; }
};

/// Steady time since an arbitrary start. Never steps; means nothing after a restart.
struct SteadyNs {
  std::int64_t value = 0;
  auto operator<=>(const SteadyNs&) const = default;
  SteadyNs operator+(Nanoseconds d) const { return {value + d.count()}; }
  Nanoseconds operator-(SteadyNs other) const { return Nanoseconds{value - other.value}; }
};

/// Hybrid logical clock reading: 48 bits of wall milliseconds, 16 bits of counter (Kulkarni et al., 2014).
struct Hlc {
  std::uint64_t value = 0;
  auto operator<=>(const Hlc&) const = default;
  static Hlc of(WallMs wall, std::uint16_t counter = 0) {
    return {static_cast<std::uint64_t>(wall.value) << 16 | counter};
  }
  WallMs wall() const { return {static_cast<std::int64_t>(value >> 16)}; }
};

/// Place of a commit in its incarnation's journal: dense, from 1. 0 = none.
struct Seq {
  std::uint64_t value = 0;
  auto operator<=>(const Seq&) const = default;
  Seq next() const { return {value + 1}; }
};

/// Place of a record in a Kafka topic: a read cursor, never an identity.
struct Offset {
  std::int64_t value = 0;
  auto operator<=>(const Offset&) const = default;
};

/// Random id made with a data directory. Text form: 16 hex digits.
struct Incarnation {
  std::uint64_t value = 0;
  auto operator<=>(const Incarnation&) const = default;
};

/// Random 32-bit id of a cluster: tells staging from production on the wire. 0 = not known yet.
struct ClusterId {
  std::uint32_t value = 0;
  auto operator<=>(const ClusterId&) const = default;
};

using NodeName = std::string;  // checked by valid_node_name() at every border

/// Of a record: which write it is. Unique; the larger one wins, by hlc, then by node name.
struct Version {
  Hlc hlc;
  NodeName node;
  auto operator<=>(const Version&) const = default;
};

/// One journal: an incarnation of a node. Ordered by node name, then incarnation.
struct Journal {
  NodeName node;
  Incarnation incarnation;
  auto operator<=>(const Journal&) const = default;
  bool operator==(const Journal& other) const {  // most differ in the number
    return incarnation == other.incarnation && node == other.node;
  }
};

struct CommitId {
  NodeName node;
  Incarnation incarnation;
  Seq seq;
  auto operator<=>(const CommitId&) const = default;
};

/// node -> hlc: "everything that this node journalled up to this hlc".
using Vector = std::map<NodeName, Hlc>;

}  // namespace refrain

template <>
struct std::hash<refrain::Incarnation> {
  std::size_t operator()(refrain::Incarnation i) const noexcept {
    return std::hash<std::uint64_t>{}(i.value);
  }
};
