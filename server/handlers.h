// SPDX-License-Identifier: Apache-2.0
// One function a route (server/router.cc has the table). Each reads its arguments, makes one call on the node
// and turns what comes back into an answer; all on the I/O thread.
#pragma once
#include "server/request.h"

namespace refrain::server {

struct Door;

// handlers_kv.cc
void put_key(Door& door, const RequestPtr& request, Reply reply);
void delete_key(Door& door, const RequestPtr& request, Reply reply);
void get_key(Door& door, const RequestPtr& request, Reply reply);
void scan_keys(Door& door, const RequestPtr& request, Reply reply);
void post_commit(Door& door, const RequestPtr& request, Reply reply);

// handlers_requests.cc
void begin_request(Door& door, const RequestPtr& request, Reply reply);
void complete_request(Door& door, const RequestPtr& request, Reply reply);
void execute_request(Door& door, const RequestPtr& request, Reply reply);
void renew_request(Door& door, const RequestPtr& request, Reply reply);
void release_request(Door& door, const RequestPtr& request, Reply reply);
void resolve_request(Door& door, const RequestPtr& request, Reply reply);

// handlers_lists.cc
void show_request(Door& door, const RequestPtr& request, Reply reply);
void list_requests(Door& door, const RequestPtr& request, Reply reply);
void list_duplicates(Door& door, const RequestPtr& request, Reply reply);
void list_conflicts(Door& door, const RequestPtr& request, Reply reply);
void show_conflict(Door& door, const RequestPtr& request, Reply reply);
void resolve_conflict(Door& door, const RequestPtr& request, Reply reply);

// handlers_members.cc
void evict_member(Door& door, const RequestPtr& request, Reply reply);
void leave_cluster(Door& door, const RequestPtr& request, Reply reply);
void rejoin_cluster(Door& door, const RequestPtr& request, Reply reply);

// handlers_operators.cc
void show_status(Door& door, const RequestPtr& request, Reply reply);
void show_members(Door& door, const RequestPtr& request, Reply reply);
void show_sync(Door& door, const RequestPtr& request, Reply reply);
void list_events(Door& door, const RequestPtr& request, Reply reply);
void show_event(Door& door, const RequestPtr& request, Reply reply);
void retry_events(Door& door, const RequestPtr& request, Reply reply);
void resume_journal(Door& door, const RequestPtr& request, Reply reply);
void export_events(Door& door, const RequestPtr& request, Reply reply);
void make_backup(Door& door, const RequestPtr& request, Reply reply);
void stream_snapshot(Door& door, const RequestPtr& request, Reply reply);

// handlers_digest.cc
void show_digest(Door& door, const RequestPtr& request, Reply reply);
void recount_digest(Door& door, const RequestPtr& request, Reply reply);

// handlers_health.cc
void show_live(Door& door, const RequestPtr& request, Reply reply);
void show_ready(Door& door, const RequestPtr& request, Reply reply);
void show_metrics(Door& door, const RequestPtr& request, Reply reply);
void show_openapi(Door& door, const RequestPtr& request, Reply reply);

}  // namespace refrain::server
