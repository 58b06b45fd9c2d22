// SPDX-License-Identifier: Apache-2.0
// What the node says, as answers.
#pragma once
#include <string>

#include "node/node.h"
#include "server/json_writer.h"
#include "server/request.h"

namespace refrain::server {

/// 200, or 202 when its time was over first. `with_existed` for a delete.
Response commit_answer(const node::CommitAnswer& answer, bool with_existed);

/// The stored bytes and every header that goes with them, save the ones that say how the call was decided.
Response stored_answer(int status, const node::StoredResponse& stored);

void write_event(JsonWriter& json, const node::EventReport& event);
void write_void_commit(JsonWriter& json, const node::VoidCommit& found);
void write_request(JsonWriter& json, const node::RequestReport& request);
void write_duplicate(JsonWriter& json, const node::DuplicateReport& report);
void write_conflict(JsonWriter& json, const node::ConflictReport& conflict);
void write_member(JsonWriter& json, const node::MemberReport& member);
void write_checks(JsonWriter& json, const std::vector<node::Check>& checks);
void write_sync(JsonWriter& json, const node::SyncReport& sync);  // its members, inside an object
void write_status(JsonWriter& json, const node::StatusReport& status);
void write_members(JsonWriter& json, const node::MembersReport& members);

/// A page of a list ends here, in bytes of JSON; one item alone may be longer.
inline constexpr std::size_t kPageBytes = 1024 * 1024;

/// Writes items until the page is full, and gives how many: one at least, when there is one.
template <class Items, class F>
std::size_t write_items(JsonWriter& json, const Items& items, F write_item) {
  std::size_t written = 0;
  for (const auto& item : items) {
    const auto before = json.mark();
    write_item(json, item);
    if (written > 0 && json.size() > kPageBytes) {
      json.back_to(before);
      break;
    }
    ++written;
  }
  return written;
}

/// `place_of` an item = the `after` that goes on behind it.
template <class T, class F, class G>
std::string page_json(const node::Page<T>& page, F write_item, G place_of) {
  JsonWriter json;
  json.begin_object().key("items").begin_array();
  const std::size_t written = write_items(json, page.items, write_item);
  json.end_array().key("after");
  written < page.items.size() ? json.value(place_of(page.items[written - 1])) : json.value(page.after);
  json.end_object();
  return json.take();
}

}  // namespace refrain::server
