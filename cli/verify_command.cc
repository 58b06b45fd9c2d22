// SPDX-License-Identifier: Apache-2.0
// refrain verify: whether the regions agree.
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"
#include "cli/verify.h"
#include "cli/verify_repair.h"

namespace refrain::cli {
namespace {

struct Members {
  std::vector<ComparedMember> all;
  std::vector<std::unique_ptr<Transport>> transports;
};

/// The active members, as the asked node knows them. It is asked itself where it was found.
std::optional<int> find_members(Context& context, Members& members) {
  Call call;
  call.target = "/v1/members";
  auto answer = ask(context, call);
  if (!answer) return answer.error();
  auto body = parse_json(context, answer->body);
  if (!body) return kFailed;
  for (const json::value& m : list(*body, "members")) {
    if (text(m, "state") == "joining")
      context.screen.message(fmt::format("{} is joining: it is not compared", text(m, "node")));
    if (text(m, "state") != "active") continue;
    ComparedMember member{text(m, "node"), text(m, "address"), nullptr, "", {}, "", ""};
    if (truth(m, "self")) {
      member.transport = &context.transport();
    } else if (member.address.empty()) {
      member.trouble = "it says no address (http.advertise)";
    } else {
      members.transports.push_back(context.connect(member.address));
      member.transport = members.transports.back().get();
    }
    members.all.push_back(std::move(member));
  }
  return std::nullopt;
}

std::string vector_text(const Vector& vector) {
  std::string out;
  for (const auto& [node, hlc] : vector)
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", node, format_time(hlc.wall()));
  return out;
}

std::string note_of(const ComparedMember& member) {
  if (!member.compared()) return "not compared: " + member.trouble;
  if (auto wrong = member.wrong_buckets())
    return fmt::format("its digest does not fit its rows, in {} buckets", wrong);
  return "";
}

std::string row_text(const Said& said) {
  if (!said.row) return "-";
  return fmt::format("{}{} {}", said.row->deleted ? "deleted " : "", format_version(said.row->version),
                     said.row->hash.substr(0, 8));
}

struct Done {
  const ComparedKey* key;
  Repaired repaired;
};

struct Report {
  std::vector<ComparedMember>& members;
  Comparison found;
  std::vector<Done> repaired;
  std::vector<std::string> notes;
  bool same() const {
    bool good = found.different.empty() && found.moving.empty() && !found.more;
    for (const ComparedMember& member : members) good = good && note_of(member).empty();
    return good;
  }
};

void show_keys(Context& context, const Report& report, const std::vector<ComparedKey>& keys,
               const std::string& kind) {
  if (keys.empty()) return;
  Table table{{kind, "NAMESPACE", "KEY"}, {}};
  for (const ComparedMember& member : report.members) {
    if (member.compared()) table.header.push_back(member.name);
  }
  for (const ComparedKey& key : keys) {
    std::vector<Cell> row{key.request ? "request" : "key", key.ns, key.key};
    for (const Said& said : key.said) row.emplace_back(row_text(said));
    table.rows.push_back(std::move(row));
  }
  context.screen.table(table);
}

void show_tables(Context& context, const Report& report) {
  Table members{{"MEMBER", "ADDRESS", "COMPARED AT", "NOTE"}, {}};
  for (const ComparedMember& member : report.members) {
    std::string note = note_of(member);
    members.rows.push_back({member.name, member.address, member.compared() ? vector_text(member.vector) : "-",
                            Cell(note, note.empty() ? Tone::kPlain : Tone::kBad)});
  }
  context.screen.table(members);
  show_keys(context, report, report.found.different, "DIFFERS");
  show_keys(context, report, report.found.moving, "STILL MOVING");
  if (report.repaired.empty()) return;
  Table repaired{{"REPAIRED", "KEY", "AT", "VERSION", "NOTE"}, {}};
  for (const Done& done : report.repaired) {
    repaired.rows.push_back({done.key->ns, done.key->key, done.repaired.node, done.repaired.version,
                             Cell(done.repaired.note, done.repaired.done() ? Tone::kPlain : Tone::kBad)});
  }
  context.screen.table(repaired);
}

json::array keys_json(const Report& report, const std::vector<ComparedKey>& keys) {
  json::array out;
  for (const ComparedKey& key : keys) {
    json::object said;
    std::size_t i = 0;
    for (const ComparedMember& member : report.members) {
      if (!member.compared() || i == key.said.size()) continue;
      const Said& one = key.said[i++];
      if (!one.row) {
        said[member.name] = nullptr;
        continue;
      }
      said[member.name] = {{"version", format_version(one.row->version)},
                           {"hash", one.row->hash},
                           {"deleted", one.row->deleted}};
    }
    json::object item{{"kind", key.request ? "request" : "key"}, {"members", std::move(said)}};
    put_bytes(item, "ns", key.ns);
    put_bytes(item, "key", key.key);
    out.push_back(std::move(item));
  }
  return out;
}

void show_json(Context& context, const Report& report, bool good) {
  json::array members;
  for (const ComparedMember& member : report.members) {
    json::object vector;
    for (const auto& [node, hlc] : member.vector) vector[node] = format_hex64(hlc.value);
    members.push_back({{"node", member.name},
                       {"address", member.address},
                       {"compared", member.compared()},
                       {"vector", std::move(vector)},
                       {"wrong_buckets", member.wrong_buckets()},
                       {"note", note_of(member)}});
  }
  json::array repaired;
  for (const Done& done : report.repaired) {
    json::object item{
        {"node", done.repaired.node}, {"version", done.repaired.version}, {"note", done.repaired.note}};
    put_bytes(item, "ns", done.key->ns);
    put_bytes(item, "key", done.key->key);
    repaired.push_back(std::move(item));
  }
  json::object out{{"same", good},
                   {"members", std::move(members)},
                   {"different", keys_json(report, report.found.different)},
                   {"moving", keys_json(report, report.found.moving)},
                   {"more", report.found.more},
                   {"repaired", std::move(repaired)}};
  print_json(context, json::serialize(out));
}

/// True when nothing is left to do.
bool mend(Context& context, Verify& verify, Report& report) {
  bool good = report.found.moving.empty() && !report.found.more;
  verify.ask_digests(true);  // whose rows can be believed
  std::vector<ComparedMember*> compared;
  for (ComparedMember& member : report.members) {
    if (member.compared()) compared.push_back(&member);
    good = good && member.compared();
  }
  for (const ComparedKey& key : report.found.different) {
    Repaired repaired{"", "", "requests are not repaired: resolve or complete it again"};
    if (!key.request && key.said.size() == compared.size()) repaired = repair(compared, key);
    good = good && repaired.done();
    report.repaired.push_back({&key, std::move(repaired)});
  }
  for (ComparedMember* member : compared) {
    if (member->wrong_buckets() == 0) continue;
    Call call;
    call.method = "POST";
    call.target = "/v1/digest/recount";
    call.wait = Milliseconds{30'000};
    auto answer = member->transport->call(call);
    const bool done = answer && answer->status == 200;
    good = good && done;
    context.screen.message(fmt::format("{}: its digest was {}", member->name,
                                       done ? "counted anew" : "NOT counted anew: call again"));
  }
  return good;
}

int verify(Context& context, const Arguments& arguments) {
  Members members;
  if (auto failed = find_members(context, members)) return *failed;
  if (members.all.empty()) {
    context.screen.message(
        "this node knows no active member: there is nothing to compare. Ask a member (--server); `refrain "
        "status` says what this one waits for.");
    return kFailed;
  }
  Verify verify{members.all, arguments.text("--ns"), arguments.has("--deep"),
                [&](Milliseconds pause) { context.pause(pause); }};
  verify.ask_digests(verify.deep);
  Report report{members.all, verify.compare(), {}, {}};
  // Digests that differ where no row does: one of them does not fit its rows. Or writes came between.
  bool digests_differ = false;
  for (const ComparedMember& member : members.all)
    digests_differ = digests_differ || (member.compared() && member.kept != members.all.front().kept);
  if (!verify.deep && digests_differ && report.found.different.empty()) verify.ask_digests(true);
  bool good = report.same();
  if (!good && arguments.has("--repair")) good = mend(context, verify, report);
  context.json ? show_json(context, report, good) : show_tables(context, report);
  if (report.found.more) context.screen.message("there is more than was looked at: repair and verify again");
  if (!report.found.moving.empty())
    context.screen.message("some keys are still moving: the members lack what would tell; verify again");
  if (good && report.repaired.empty())
    context.screen.remark(
        members.all.size() > 1 ? "The members hold the same." : "There is nobody to compare with.",
        Tone::kGood);
  return good ? kOk : kNotInSync;
}

}  // namespace

std::vector<Command> verify_commands() {
  return {{{"verify"},
           "whether all members hold the same, and what differs",
           {flag("--deep",
                 "compare every row, with keys that expire and completed requests, and count each "
                 "member's rows against its digest"),
            value("--ns", "NS", "only rows of this namespace", check_read_namespace),
            flag("--repair", "write the winner of each key that differs again, as a new commit")},
           {"refrain verify", "refrain verify --deep --ns orders", "refrain verify --repair"},
           true,
           false,
           verify}};
}

}  // namespace refrain::cli
