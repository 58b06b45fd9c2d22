// SPDX-License-Identifier: Apache-2.0
#include "cli/commit_answer.h"

#include <fmt/format.h>

#include "base/text.h"
#include "cli/exit_code.h"

namespace refrain::cli {

std::vector<Option> commit_options() {
  return {
      value("--ack", "WHO",
            "wait until: local = synced on the node's disk (default), log = Kafka has it, all = every "
            "member, or a node",
            check_ack),
      value(
          "--timeout", "DURATION",
          "for --ack (default 5s, up to 60s); past it the write is durable and the answer says who lacks it",
          check_duration)};
}

void add_ack(const Arguments& arguments, Target& target, Call& call) {
  if (arguments.has("--ack")) target.with("ack", arguments.text("--ack"));
  if (!arguments.has("--timeout")) return;
  target.with("timeout", arguments.text("--timeout"));
  call.wait = parse_duration(arguments.text("--timeout")).value_or(Milliseconds{0});
}

void add_wait(const Arguments& arguments, Target& target, Call& call) {
  if (!arguments.has("--wait")) return;
  target.with("wait", arguments.text("--wait"));
  call.wait = parse_duration(arguments.text("--wait")).value_or(Milliseconds{0});
}

int send_commit(Context& context, const Arguments& arguments, Target target, Call call) {
  add_ack(arguments, target, call);
  call.target = target.text();
  send_session(arguments, call);
  auto answer = ask(context, call);
  if (!answer) return answer.error();
  auto body = parse_json(context, answer->body);
  if (!body) return kFailed;
  if (context.json)
    print_json(context, answer->body);
  else
    context.screen.facts(commit_facts(*body));
  say_if_waiting(context, *body, answer->status);
  return keep_session(context, arguments, *answer);
}

Facts commit_facts(const json::value& body) {
  Facts facts;
  facts.add("COMMIT", text(body, "commit"));
  facts.add("VERSION", text(body, "version"));
  facts.add("STATE", text(body, "state"));
  facts.add("APPLIED BY", joined(body, "applied_by"));
  facts.add("WAITING FOR", joined(body, "waiting_for"));
  if (member(body, "existed")) facts.add("EXISTED", text(body, "existed"));
  return facts;
}

void say_if_waiting(Context& context, const json::value& body, int status) {
  if (status != 202) return;
  context.screen.message(
      fmt::format("durable here, but within the time-out not yet at: {}. See: refrain events show {}",
                  joined(body, "waiting_for"), text(body, "commit")));
}

void say_if_more(Context& context, const json::value& body) {
  std::string after = text(body, "after");
  if (!after.empty()) context.screen.message(fmt::format("there are more: --after '{}'", after));
}

}  // namespace refrain::cli
