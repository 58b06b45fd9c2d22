// SPDX-License-Identifier: Apache-2.0
#include "cli/demo_story.h"

#include <fmt/color.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <functional>
#include <thread>

#include "cli/transport.h"

namespace refrain::cli {
namespace {

namespace json = boost::json;
using std::chrono::steady_clock;

/// A step failed: the words say which promise was not kept.
struct Broken {
  std::string what;
};

std::string field(const json::value& value, std::string_view name) {
  const json::value* found = value.is_object() ? value.as_object().if_contains(name) : nullptr;
  if (found == nullptr) return "";
  return found->is_string() ? std::string(found->as_string()) : json::serialize(*found);
}

class Story {
 public:
  Story(Stage& stage, const std::vector<DemoNode>& nodes)
      : stage_(stage), colour_(isatty(STDOUT_FILENO) && !getenv("NO_COLOR")) {
    for (const DemoNode& node : nodes) urls_[node.name] = node.url;
  }

  void tell() {
    everyone_is_ready();
    a_write_travels();
    two_regions_disagree();
    a_request_is_done_once();
    a_lease_lapses_under_hold();
    a_node_dies_and_returns();
  }

 private:
  // ---- the six chapters

  void everyone_is_ready() {
    chapter("Three regions come up");
    for (const auto& [name, url] : urls_) {
      until(name + " is ready",
            [&, name = name] { return call("GET", name, "/health/ready").status == 200; });
      say(fmt::format("{} is ready at {}", name, url));
    }
  }

  void a_write_travels() {
    chapter("A write in eu is known everywhere");
    Answer put = show("PUT", "eu", "/v1/kv/shop/greeting", "hello from eu");
    expect(put.status == 200 && field(parse(put), "state") == "pending",
           "the put is acknowledged: synced on eu's disk, pending for the others");
    std::string commit = field(parse(put), "commit");
    follow_event("eu", commit);
    Answer read = show("GET", "us", "/v1/kv/shop/greeting?wait=5s", "",
                       {"Refrain-Session: " + put.header("refrain-session")});
    expect(read.status == 200 && read.body == "hello from eu", "us reads what eu wrote");
  }

  void two_regions_disagree() {
    chapter("ap is cut off; both sides write the same key; the cut heals");
    check(stage_.cut("ap"), "cut ap off the log");
    expect(show("PUT", "ap", "/v1/kv/shop/price", "90").status == 200, "ap takes writes alone");
    expect(show("PUT", "eu", "/v1/kv/shop/price", "100").status == 200, "eu takes writes without ap");
    expect(call("GET", "ap", "/v1/kv/shop/price").body == "90", "ap still has its own value");
    check(stage_.heal("ap"), "heal the cut");
    for (const auto& [name, url] : urls_) {
      until(name + " knows the conflict", [&, n = name] { return conflicts(n).size() == 1; });
    }
    Answer listed = show("GET", "us", "/v1/conflicts?ns=shop&key=price");
    expect(
        listed.body.find("\"90\"") != std::string::npos && listed.body.find("\"100\"") != std::string::npos,
        "the conflict lists both values");
    same_everywhere("/v1/kv/shop/price");
  }

  void a_request_is_done_once() {
    chapter("A request is done once, and answered everywhere");
    const std::string order = R"({"order": 1, "amount": 100})";
    Answer go = show("POST", "eu", "/v1/requests/payments/order-1/begin?wait=10s", order);
    expect(go.status == 201 && go.header("refrain-decision") == "go", "the first begin gets the go");
    json::object complete{
        {"token", field(parse(go), "token")},
        {"response",
         {{"status", 201}, {"content_type", "application/json"}, {"body", R"({"charged": 100})"}}},
        {"operations", {{{"put", {{"ns", "ledger"}, {"key", "order-1"}, {"value", "charged 100"}}}}}}};
    Answer done = show("POST", "eu", "/v1/requests/payments/order-1/complete", json::serialize(complete));
    expect(done.status == 200, "complete stores the response and the effect as one commit");
    std::string effect_version = call("GET", "eu", "/v1/kv/ledger/order-1").header("etag");
    Answer replay = show("POST", "us", "/v1/requests/payments/order-1/begin?wait=5s", order,
                         {"Refrain-Session: " + done.header("refrain-session")});
    expect(replay.status == 200 && replay.body == R"({"charged": 100})" &&
               replay.header("refrain-status") == "201",
           "us replays the same bytes");
    expect(replay.header("idempotent-replayed") == "true" && replay.header("refrain-decision") == "replay",
           "us says that it is a replay");
    Answer effect = show("GET", "us", "/v1/kv/ledger/order-1");
    expect(effect.body == "charged 100" && effect.header("etag") == effect_version,
           "the effect is in us, once: the version is the one that complete wrote");
    same_everywhere("/v1/kv/ledger/order-1");
    Answer other =
        show("POST", "us", "/v1/requests/payments/order-1/begin", R"({"order": 1, "amount": 999})");
    expect(other.status == 422, "another payload under the same id is refused");
  }

  void a_lease_lapses_under_hold() {
    chapter("A worker dies holding a claim under `hold`: nobody guesses");
    Answer go =
        show("POST", "eu", "/v1/requests/payments/order-2/begin?lease=1s&on_expiry=hold&wait=10s", "order 2");
    expect(go.status == 201, "order-2 gets its go; its worker now dies");
    until("order-2 is listed as unknown", [&] {
      return call("GET", "eu", "/v1/requests/payments?state=unknown").body.find("order-2") !=
             std::string::npos;
    });
    show("GET", "eu", "/v1/requests/payments?state=unknown");
    Answer again = show("POST", "eu", "/v1/requests/payments/order-2/begin", "order 2");
    expect(again.status == 409 && field(parse(again), "code") == "outcome_unknown",
           "a second run is refused until somebody resolves it");
  }

  void a_node_dies_and_returns() {
    chapter("us dies without a goodbye and comes back with everything");
    Answer last = show("PUT", "us", "/v1/kv/shop/last-words", "acknowledged, then killed");
    expect(last.status == 200, "the write is acknowledged");
    check(stage_.kill("us"), "kill us");
    expect(call("GET", "us", "/health/live").status == 0, "us is down");
    check(stage_.start("us"), "start us again");
    until("us is ready", [&] { return call("GET", "us", "/health/ready").status == 200; });
    expect(show("GET", "us", "/v1/kv/shop/last-words").body == "acknowledged, then killed",
           "its acknowledged write is there");
    until("us gives order-1's answer again", [&] {
      Answer replay =
          call("POST", "us", "/v1/requests/payments/order-1/begin", R"({"order": 1, "amount": 100})");
      return replay.status == 200 && replay.body == R"({"charged": 100})";
    });
    same_everywhere("/v1/kv/shop/last-words");
    until("every region says that nothing is missing anywhere", [&] {
      return std::all_of(urls_.begin(), urls_.end(),
                         [&](const auto& node) { return nothing_is_missing(node.first); });
    });
    say("every region says that nothing is missing anywhere");
  }

  // ---- what the chapters are made of

  void follow_event(const std::string& node, const std::string& commit) {
    const std::vector<std::string> order = {"pending", "published", "applied", "synced", "stable"};
    std::string before;
    std::ptrdiff_t reached = 0;
    json::value event;
    until("the event is synced", [&] {
      event = parse(call("GET", node, "/v1/events/" + commit));
      std::string state = field(event, "state");
      std::string line =
          fmt::format("event {}: {}, applied by {}", commit, state, field(event, "applied_by"));
      if (!state.empty() && line != before) say(line);
      before = line;
      auto rank = std::find(order.begin(), order.end(), state) - order.begin();
      if (rank < reached) throw Broken{"the event went back to " + state};
      reached = rank;
      return state == "synced" || state == "stable";
    });
    std::string applied_by = field(event, "applied_by");
    bool everyone = std::all_of(urls_.begin(), urls_.end(), [&](const auto& region) {
      return applied_by.find('"' + region.first + '"') != std::string::npos;
    });
    expect(everyone, "the event is pending, then published, then synced: applied by all three");
  }

  void same_everywhere(const std::string& path) {
    std::string seen;
    until("the same version of " + path + " everywhere", [&] {
      std::vector<std::string> tags;
      for (const auto& [name, url] : urls_) tags.push_back(call("GET", name, path).header("etag"));
      seen = tags.front();
      return !seen.empty() &&
             std::all_of(tags.begin(), tags.end(), [&](const std::string& tag) { return tag == seen; });
    });
    say(fmt::format("the same everywhere: {} is {} at {}", path, call("GET", "eu", path).body, seen));
  }

  bool nothing_is_missing(const std::string& node) {
    json::value status = parse(call("GET", node, "/v1/status"));
    if (!status.is_object() || field(status, "cause") != "" || field(status, "oldest_unsynced_ms") != "0")
      return false;
    const json::array& members = status.as_object().at("members").as_array();
    return members.size() == urls_.size() &&
           std::all_of(members.begin(), members.end(), [](const json::value& member) {
             return field(member, "note") == "" && field(member, "heard_ms") != "null";
           });
  }

  json::array conflicts(const std::string& node) {
    json::value answer = parse(call("GET", node, "/v1/conflicts?ns=shop&key=price"));
    if (!answer.is_object() || !answer.as_object().contains("items")) return {};
    return answer.as_object().at("items").as_array();
  }

  using Headers = std::vector<std::string>;

  /// Status 0, and why as the body, when no answer came.
  Answer call(const std::string& method, const std::string& node, const std::string& path,
              const std::string& body = "", const Headers& headers = {}) {
    Call call{.method = method,
              .target = path,
              .headers = headers,
              .body = body,
              .content_type = "",
              .wait = Milliseconds{5000}};
    if (!body.empty()) call.content_type = body.front() == '{' ? "application/json" : "text/plain";
    auto answer = http_transport(urls_.at(node))->call(call);
    if (answer) return *answer;
    Answer none;
    none.body = answer.error().why;
    return none;
  }

  Answer show(const std::string& method, const std::string& node, const std::string& path,
              const std::string& body = "", const Headers& headers = {}) {
    Answer answer = call(method, node, path, body, headers);
    std::string sent = body.empty() || body.size() > 200 ? "" : "  " + body;
    fmt::print("  {} {:<4} {}{}\n", paint(fmt::color::gray, node), method, path, sent);
    if (answer.status == 0) {
      fmt::print("     -> {}\n", answer.body);
    } else {
      std::string decision = answer.header("refrain-decision");
      fmt::print("     -> {}{} {}\n", answer.status, decision.empty() ? "" : " " + decision,
                 first_line(answer.body));
    }
    return answer;
  }

  static std::string first_line(const std::string& body) {
    std::string line = body.substr(0, body.find('\n'));
    return line.size() > 400 ? line.substr(0, 400) + "..." : line;
  }

  static json::value parse(const Answer& answer) {
    boost::system::error_code error;
    json::value value = json::parse(answer.body, error);
    return error ? json::value() : value;
  }

  void until(const std::string& what, const std::function<bool()>& condition) {
    auto deadline = steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      if (steady_clock::now() > deadline) throw Broken{what + ": not within 60 s"};
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  void expect(bool holds, const std::string& what) {
    if (!holds) throw Broken{what};
    say(what);
  }

  void check(const Result<void>& done, const std::string& what) {
    if (!done) throw Broken{what + ": " + done.error().detail};
    say(what);
  }

  void chapter(const std::string& title) {
    fmt::print("\n{}\n", paint(fmt::color::dodger_blue, fmt::format("{}. {}", ++chapter_, title)));
  }
  void say(const std::string& line) {
    fmt::print("  {} {}\n", paint(fmt::color::green, "ok"), line);
    std::fflush(stdout);
  }
  std::string paint(fmt::color colour, const std::string& text) const {
    return colour_ ? fmt::format(fmt::fg(colour), "{}", text) : text;
  }

  Stage& stage_;
  std::map<std::string, std::string> urls_;
  bool colour_;
  int chapter_ = 0;
};

}  // namespace

bool tell_story(Stage& stage, const std::vector<DemoNode>& nodes) {
  try {
    Story(stage, nodes).tell();
    fmt::print("\nEvery step showed what it says.\n");
    return true;
  } catch (const Broken& broken) {
    std::fflush(stdout);
    fmt::print(stderr, "\nThe demo ends here: this step did not show what it says: {}\n", broken.what);
    return false;
  }
}

}  // namespace refrain::cli
