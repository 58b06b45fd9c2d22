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
void write_request(JsonWriter& json, const node::RequestReport& request);
void write_duplicate(JsonWriter& json, const node::DuplicateReport& report);
void write_conflict(JsonWriter& json, const node::ConflictReport& conflict);
void write_member(JsonWriter& json, const node::MemberReport& member);
void write_checks(JsonWriter& json, const std::vector<node::Check>& checks);
void write_sync(JsonWriter& json, const node::SyncReport& sync);  // its members, inside an object
void write_status(JsonWriter& json, const node::StatusReport& status);
void write_members(JsonWriter& json, const node::MembersReport& members);

template <class T, class F>
std::string page_json(const node::Page<T>& page, F write_item) {
  JsonWriter json;
  json.begin_object().key("items").begin_array();
  for (const auto& item : page.items) write_item(json, item);
  json.end_array().member("after", page.after).end_object();
  return json.take();
}

}  // namespace refrain::server
