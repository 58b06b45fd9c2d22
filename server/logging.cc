// SPDX-License-Identifier: Apache-2.0
#include "server/logging.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/clock.h"
#include "base/text.h"
#include "server/json_writer.h"

namespace refrain::server {
namespace {

struct Logger {
  std::shared_ptr<spdlog::logger> out;
  node::LogFormat format = node::LogFormat::kText;
};

std::mutex mutex;
std::shared_ptr<const Logger> current;
std::atomic<node::LogLevel> lowest{node::LogLevel::kInfo};

std::string_view level_name(node::LogLevel level) {
  switch (level) {
    case node::LogLevel::kDebug:
      return "debug";
    case node::LogLevel::kInfo:
      return "info";
    case node::LogLevel::kWarn:
      return "warn";
    case node::LogLevel::kError:
      return "error";
  }
  return "error";
}

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> to) : to_(std::move(to)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    to_({message.payload.data(), message.payload.size()});
  }
  void flush_() override {}
  std::function<void(std::string_view)> to_;
};

spdlog::sink_ptr make_sink(std::function<void(std::string_view)> to) {
  if (to) return std::make_shared<FunctionSink>(std::move(to));
  return std::make_shared<spdlog::sinks::stderr_sink_mt>();
}

std::shared_ptr<const Logger> make_logger(node::LogFormat format,
                                          std::function<void(std::string_view)> sink) {
  auto logger = std::make_shared<Logger>();
  logger->out = std::make_shared<spdlog::logger>("refrain", make_sink(std::move(sink)));
  logger->out->set_pattern("%v");
  logger->out->set_level(spdlog::level::trace);
  logger->out->flush_on(spdlog::level::trace);
  logger->format = format;
  return logger;
}

std::shared_ptr<const Logger> logger() {
  std::lock_guard lock(mutex);
  if (!current) current = make_logger(node::LogFormat::kText, {});
  return current;
}

/// Bytes that are no UTF-8 (a peer's error text, say) must not break the line.
std::string printable(const std::string& text) {
  return valid_utf8(text) ? text : "hex:" + hex_encode(text);
}

std::string json_line(node::LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  JsonWriter json;
  json.begin_object();
  json.member("time", SystemClock().wall()).member("level", level_name(level)).member("event", event);
  for (const auto& field : fields) {
    json.key(field.name);
    std::visit(
        [&](const auto& v) {
          if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>) {
            json.value(printable(v));
          } else {
            json.value(v);
          }
        },
        field.value);
  }
  json.end_object();
  return json.take();
}

std::string text_value(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_of(" \"=\\") == std::string::npos && valid_utf8(text) &&
                     std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (plain) return text;
  JsonWriter json;
  json.value(printable(text));
  return json.take();
}

std::string text_line(node::LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  std::string line = fmt::format("{} {:<5} {}", format_time(SystemClock().wall()), level_name(level), event);
  for (const auto& field : fields) {
    line += fmt::format(" {}=", field.name);
    std::visit(
        [&](const auto& v) {
          if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>) {
            line += text_value(v);
          } else {
            line += fmt::format("{}", v);
          }
        },
        field.value);
  }
  return line;
}

}  // namespace

void configure_logging(node::LogLevel level, node::LogFormat format,
                       std::function<void(std::string_view)> sink) {
  auto made = make_logger(format, std::move(sink));
  std::lock_guard lock(mutex);
  current = std::move(made);
  lowest = level;
}

bool log_enabled(node::LogLevel level) {
  return level >= lowest.load(std::memory_order_relaxed);
}

void log(node::LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!log_enabled(level)) return;
  const auto to = logger();
  const auto line = to->format == node::LogFormat::kJson ? json_line(level, event, fields)
                                                         : text_line(level, event, fields);
  to->out->log(spdlog::level::info, line);
}

}  // namespace refrain::server
