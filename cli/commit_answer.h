// SPDX-License-Identifier: Apache-2.0
// What all commands that write have in common: how much to wait for, and how their answer is shown.
#pragma once
#include <vector>

#include "cli/context.h"
#include "cli/json_access.h"

namespace refrain::cli {

std::vector<Option> commit_options();  // --ack, --timeout
void add_ack(const Arguments& arguments, Target& target, Call& call);
void add_wait(const Arguments& arguments, Target& target, Call& call);

/// Sends `call` to `target` with ack, timeout and session, and shows {commit, version, state, applied_by,
/// waiting_for}.
int send_commit(Context& context, const Arguments& arguments, Target target, Call call);

/// The parts that every such answer has; past --timeout says on standard error who is waited for.
Facts commit_facts(const json::value& body);
void say_if_waiting(Context& context, const json::value& body, int status);

/// Of a list that goes on.
void say_if_more(Context& context, const json::value& body);

}  // namespace refrain::cli
