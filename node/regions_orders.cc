// SPDX-License-Identifier: Apache-2.0
// Regions' orders: evict, leave, rejoin. Checked here, carried out by membership.
#include <fmt/format.h>

#include "node/regions.h"

namespace refrain::node {
namespace {

using replication::MemberState;
using replication::Mode;

Error not_here(const NodeName& node, const std::optional<std::string>& address) {
  Error error = conflict("wrong_node", fmt::format("Only {} itself does this. Send the call to {}.", node,
                                                   address.value_or("that node")));
  if (address) error.address = *address;
  return error;
}

}  // namespace

Result<MemberOrder> Regions::order(MemberOrder order, const Moment& now) {
  if (order.kind == MemberOrder::Kind::kEvict) return order_evict(std::move(order), now);
  if (order.node != self_.node) return not_here(order.node, address_of(order.node));
  order.incarnation = self_.incarnation;
  const replication::MembersTable& table = membership_->table();
  if (order.kind == MemberOrder::Kind::kLeave) {
    if (table.is(self_.incarnation, MemberState::kOver)) {
      if (table.find(self_.incarnation)->ending == replication::Ending::kLeft) return order;  // asked again
      return invalid(
          "invalid",
          "This node is no member any more: it was taken out and did not leave. What nobody has got "
          "of it is void: `refrain events export`; `refrain member rejoin` makes it a member anew.");
    }
    if (auto refused = refusal(now); refused && !membership_->leaving()) return *refused;
    if (!table.others_active(self_.incarnation))
      return invalid("invalid",
                     "This node is the last active member: nobody would have its data. To end the cluster, "
                     "stop the process.");
    membership_->leave();
    return order;
  }
  Mode mode = membership_->standing().mode;
  if (mode == Mode::kActive && !order.although_heard)
    return invalid(
        "invalid",
        "This node is an active member and need not rejoin. With \"yes\": true (--yes) it empties its "
        "store and takes a snapshot anew.");
  if (mode != Mode::kActive && mode != Mode::kFenced && mode != Mode::kRolledBack)
    return invalid("invalid", fmt::format("This node is {}: it has nothing to rejoin from.",
                                          replication::mode_name(mode)));
  // It would take no more writes and wait for somebody who can give it a snapshot.
  if (!table.others_active(self_.incarnation)) {
    const char* way = mode == Mode::kRolledBack
                          ? " To go on with what this directory has: `refrain backup` here, then `refrain "
                            "restore --found` (Backup and restore in docs/operations.md)."
                          : "";
    return invalid("invalid",
                   fmt::format("No other member is active: nobody has the data of which this node "
                               "would take a snapshot, so it keeps its own. Nothing was changed.{}",
                               way));
  }
  auto current = table.current(self_.node);
  if (mode == Mode::kFenced && current && *current != self_.incarnation)
    return invalid("invalid",
                   fmt::format("Another directory has the name {} by now: start this node with an empty "
                               "directory and another name. Its void commits can be exported.",
                               self_.node));
  membership_->rejoin();
  return order;
}

Result<MemberOrder> Regions::order_evict(MemberOrder order, const Moment& now) {
  if (order.node == self_.node)
    return invalid("invalid", "A node does not evict itself. It leaves: `refrain member leave`.");
  const replication::MembersTable& table = membership_->table();
  auto current = table.current(order.node);
  if (!current)
    return not_found(fmt::format("There is no member '{}'. See `refrain member ls`.", order.node));
  order.incarnation = *current;
  if (table.is(*current, MemberState::kOver)) {
    if (table.find(*current)->ending != replication::Ending::kLeft) return order;
    return invalid(
        "invalid",
        fmt::format("'{}' has left: it is no member any more, and nothing of it is void.", order.node));
  }
  if (auto refused = refusal(now)) return *refused;
  auto heard = heard_at({order.node, *current});
  if (heard && now.steady - *heard < start_.silence && !order.although_heard) {
    return invalid(
        "invalid",
        fmt::format(
            "'{}' was heard {:.1f} s ago: it is alive, and what it takes from now on would be void. Let it "
            "leave (`refrain member leave` there), or repeat with \"yes\": true (--yes).",
            order.node, std::chrono::duration<double>(now.steady - *heard).count()));
  }
  membership_->evict({order.node, *current});
  return order;
}

MemberChange Regions::look(const MemberOrder& order) const {
  const replication::MembersTable& table = membership_->table();
  MemberChange change;
  change.node = order.node;
  change.incarnation = order.incarnation;
  change.newest_known = replication::last_known(knowledge(), {order.node, order.incarnation}).seq;
  bool over = table.is(order.incarnation, MemberState::kOver);
  if (over) change.end = table.end(order.incarnation);
  switch (order.kind) {
    case MemberOrder::Kind::kEvict:
      change.done = over;
      change.state = over ? "over" : "evicting";
      if (!over) change.detail = membership_->trouble();
      break;
    case MemberOrder::Kind::kLeave:
      change.done = over;
      change.state = over ? "over" : "leaving";
      if (!over) change.detail = membership_->standing().detail;
      break;
    case MemberOrder::Kind::kRejoin:
      change.done = self_.incarnation != order.incarnation;
      change.state = change.done ? "joining" : "rejoining";
      change.detail = membership_->standing().detail;
      break;
  }
  return change;
}

}  // namespace refrain::node
