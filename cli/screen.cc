// SPDX-License-Identifier: Apache-2.0
#include "cli/screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ostream>

#include "base/text.h"

namespace refrain::cli {
namespace {

constexpr std::string_view kClearAndHome = "\x1b[H\x1b[2J";
constexpr std::string_view kGap = "   ";

std::string_view escape_of(Tone tone) {
  switch (tone) {
    case Tone::kGood:
      return "\x1b[32m";
    case Tone::kBad:
      return "\x1b[1;31m";
    case Tone::kFaint:
      return "\x1b[2m";
    case Tone::kPlain:
      return "";
  }
  return "";
}

/// Bytes of the character at the start; 1 for a byte that begins none.
std::size_t character_length(std::string_view text) {
  for (std::size_t length = 1; length <= 4 && length <= text.size(); ++length)
    if (valid_utf8(text.substr(0, length))) return length;
  return 1;
}

bool is_control(std::string_view character) {
  auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;  // U+0080 to U+009F
}

}  // namespace

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto character = text.substr(0, character_length(text));
    if (!valid_utf8(character) || is_control(character)) {
      for (char c : character) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out;
}

std::string tsv_field(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '\t':
        out += "\\t";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Screen::painted(const Cell& cell, std::size_t width) const {
  std::string text = printable(cell.text);
  std::size_t used = width_of(text);
  std::string padding(width > used ? width - used : 0, ' ');
  auto escape = kind_.color ? escape_of(cell.tone) : std::string_view();
  return escape.empty() ? text + padding : fmt::format("{}{}\x1b[0m{}", escape, text, padding);
}

void Screen::section() {
  if (!text_.empty()) text_ += '\n';
}

void Screen::table(const Table& table) {
  section();
  std::vector<std::vector<Cell>> lines;
  lines.emplace_back(table.header.begin(), table.header.end());
  if (kind_.terminal)
    for (Cell& name : lines[0]) name.tone = Tone::kFaint;
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::vector<std::size_t> widths(table.header.size());
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], width_of(printable(line[i].text)));
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      bool last = i + 1 == line.size();
      if (kind_.terminal)
        text_ += painted(line[i], last ? 0 : widths[i]);
      else
        text_ += tsv_field(line[i].text);
      if (!last) text_ += kind_.terminal ? kGap : "\t";
    }
    text_ += '\n';
  }
}

void Screen::facts(const Facts& facts) {
  if (!kind_.terminal) {
    Table row{{}, {{}}};
    for (const auto& [name, value] : facts.parts) {
      row.header.push_back(name);
      std::replace(row.header.back().begin(), row.header.back().end(), ' ', '_');
      row.rows[0].push_back(value);
    }
    return table(row);
  }
  section();
  std::size_t width = 0;
  for (const auto& [name, value] : facts.parts) width = std::max(width, width_of(name));
  for (const auto& [name, value] : facts.parts) {
    if (value.text.empty()) continue;
    text_ += painted(Cell(name, Tone::kFaint), width) + std::string(kGap) + painted(value, 0) + '\n';
  }
}

void Screen::remark(std::string_view text, Tone tone) {
  if (kind_.terminal) text_ += painted(Cell(std::string(text), tone), 0) + '\n';
}

void Screen::message(std::string_view text) {
  std::string line = fmt::format("refrain: {}\n", printable(text));
  if (redraws_)
    text_ += line;
  else
    err_ << line << std::flush;
}

void Screen::flush() {
  errno = 0;
  if (redraws_) out_ << kClearAndHome;
  out_ << text_ << std::flush;
  text_.clear();
  if (!out_ && !lost_) lost_ = std::strerror(errno != 0 ? errno : EIO);
}

std::string format_age(std::int64_t milliseconds) {
  std::int64_t ms = std::max<std::int64_t>(milliseconds, 0);
  std::int64_t s = ms / 1000, m = s / 60, h = m / 60;
  if (s < 10) return fmt::format("{}.{}s", s, ms % 1000 / 100);
  if (m < 1) return fmt::format("{}s", s);
  if (h < 1) return fmt::format("{}m{:02}s", m, s % 60);
  if (h < 24) return fmt::format("{}h{:02}m", h, m % 60);
  return fmt::format("{}d{:02}h", h / 24, h % 24);
}

std::string format_amount(std::uint64_t bytes) {
  double amount = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} B", bytes);
  for (const char* unit : {"KiB", "MiB", "GiB"}) {
    amount /= 1024;
    if (amount < 1024) return fmt::format("{:.1f} {}", amount, unit);
  }
  return fmt::format("{:.1f} TiB", amount / 1024);
}

}  // namespace refrain::cli
