// SPDX-License-Identifier: Apache-2.0
#include "shrink.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <sstream>

namespace refrain::simulation {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::optional<std::int64_t> number(const std::string& text) {
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

Error malformed(const std::string& part) {
  return invalid("invalid",
                 fmt::format("'{}' is no part of a cut. A cut is like \"actions=0,4 log=written_twice "
                             "clients=1 ms=2400 requests=0\".",
                             part));
}

Result<void> parse_part(const std::string& part, Cut& cut) {
  std::size_t equals = part.find('=');
  if (equals == std::string::npos) return malformed(part);
  std::string name = part.substr(0, equals);
  std::vector<std::string> values = split(part.substr(equals + 1), ',');
  if (name == "log") {
    for (const std::string& value : values) {
      if (std::ranges::find(log_fault_kinds(), value, &LogFault::name) == log_fault_kinds().end())
        return invalid("invalid", fmt::format("'{}' is no fault of the log.", value));
    }
    cut.log = values;
    return {};
  }
  if (name == "actions") {
    cut.actions.emplace();
    for (const std::string& value : values) {
      auto place = number(value);
      if (!place) return malformed(part);
      cut.actions->push_back(static_cast<std::size_t>(*place));
    }
    return {};
  }
  auto value = values.size() == 1 ? number(values[0]) : std::nullopt;
  if (!value) return malformed(part);
  if (name == "clients") {
    cut.clients = static_cast<int>(*value);
  } else if (name == "ms") {
    cut.ms = *value;
  } else if (name == "requests") {
    cut.requests = *value != 0;
  } else {
    return malformed(part);
  }
  return {};
}

/// Tries one cut after the other, and keeps what still fails.
class Shrinking {
 public:
  Shrinking(const Plan& plan, const std::function<bool(const Plan&)>& fails, int tries)
      : plan_(plan), fails_(fails), tries_(tries) {
    best_.actions.emplace();
    for (std::size_t i = 0; i < plan.actions.size(); ++i) best_.actions->push_back(i);
    best_.log.emplace();
    for (const LogFault& fault : log_fault_kinds()) {
      if (plan.log_faults.*fault.rate > 0) best_.log->emplace_back(fault.name);
    }
  }

  Cut run() {
    fewer(&Cut::log);
    fewer(&Cut::actions);
    if (plan_.requests) {
      Cut cut = best_;
      cut.requests = false;
      keep_if_it_fails(cut);
    }
    for (int clients = 1; clients < plan_.clients; ++clients) {
      Cut cut = best_;
      cut.clients = clients;
      if (keep_if_it_fails(cut)) break;
    }
    shorter();
    fewer(&Cut::log);
    fewer(&Cut::actions);
    return best_;
  }

 private:
  bool keep_if_it_fails(const Cut& cut) {
    if (tries_ <= 0) return false;
    --tries_;
    if (!fails_(cut_plan(plan_, cut))) return false;
    best_ = cut;
    return true;
  }

  /// Leaves out halves of the list, then quarters, down to single ones.
  template <class T>
  void fewer(std::optional<std::vector<T>> Cut::*list) {
    for (std::size_t chunk = std::max<std::size_t>(1, (best_.*list)->size());; chunk = (chunk + 1) / 2) {
      for (std::size_t from = 0; from < (best_.*list)->size();) {
        Cut cut = best_;
        std::vector<T>& less = *(cut.*list);
        std::size_t to = std::min(from + chunk, less.size());
        less.erase(less.begin() + static_cast<std::ptrdiff_t>(from),
                   less.begin() + static_cast<std::ptrdiff_t>(to));
        if (!keep_if_it_fails(cut)) from = to;
      }
      if (chunk == 1) return;
    }
  }

  void shorter() {
    std::int64_t low = 0;  // does not fail
    std::int64_t high = plan_.disturbed.count();
    while (high - low > 100) {
      std::int64_t middle = (low + high) / 2;
      Cut cut = best_;
      cut.ms = middle;
      (keep_if_it_fails(cut) ? high : low) = middle;
    }
  }

  const Plan& plan_;
  const std::function<bool(const Plan&)>& fails_;
  int tries_;
  Cut best_;
};

}  // namespace

std::string format_cut(const Cut& cut) {
  std::vector<std::string> parts;
  if (cut.actions) parts.push_back(fmt::format("actions={}", fmt::join(*cut.actions, ",")));
  if (cut.log) parts.push_back(fmt::format("log={}", fmt::join(*cut.log, ",")));
  if (cut.clients) parts.push_back(fmt::format("clients={}", *cut.clients));
  if (cut.ms) parts.push_back(fmt::format("ms={}", *cut.ms));
  if (cut.requests) parts.push_back(fmt::format("requests={}", *cut.requests ? 1 : 0));
  return fmt::format("{}", fmt::join(parts, " "));
}

Result<Cut> parse_cut(const std::string& text) {
  Cut cut;
  for (const std::string& part : split(text, ' ')) {
    if (auto parsed = parse_part(part, cut); !parsed) return parsed.error();
  }
  return cut;
}

Plan cut_plan(const Plan& plan, const Cut& cut) {
  Plan left = plan;
  if (cut.ms) left.disturbed = Milliseconds{*cut.ms};
  if (cut.clients) left.clients = std::min(*cut.clients, plan.clients);
  if (cut.requests) left.requests = plan.requests && *cut.requests;
  if (cut.log) {
    for (const LogFault& fault : log_fault_kinds()) {
      if (std::ranges::find(*cut.log, fault.name) == cut.log->end()) left.log_faults.*fault.rate = 0;
    }
  }
  if (cut.actions) {
    left.actions.clear();
    for (std::size_t place : *cut.actions) {
      if (place < plan.actions.size()) left.actions.push_back(plan.actions[place]);
    }
  }
  return left;
}

Cut shrink(const Plan& plan, const std::function<bool(const Plan&)>& fails, int tries) {
  return Shrinking(plan, fails, tries).run();
}

}  // namespace refrain::simulation
