// SPDX-License-Identifier: Apache-2.0
// What the program prints. On a terminal: aligned, with a little colour. On a pipe: tab-separated lines under
// a header line. Data goes to standard output in one write a flush, messages to standard error at once.
#pragma once
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace refrain::cli {

enum class Tone : unsigned char { kPlain, kGood, kBad, kFaint };

struct Cell {
  std::string text;
  Tone tone = Tone::kPlain;
  Cell(std::string t, Tone tn = Tone::kPlain) : text(std::move(t)), tone(tn) {}  // NOLINT: a text is a cell
  Cell(const char* t) : text(t) {}                                               // NOLINT
};

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<Cell>> rows;
};

/// One thing with named parts: a line a part on a terminal, a table of one row on a pipe.
struct Facts {
  std::vector<std::pair<std::string, Cell>> parts;
  void add(std::string name, Cell value) { parts.emplace_back(std::move(name), std::move(value)); }
};

class Screen {
 public:
  struct Kind {
    bool terminal = false;
    bool color = false;
  };
  Screen(std::ostream& out, std::ostream& err, Kind kind) : out_(out), err_(err), kind_(kind) {}

  bool terminal() const { return kind_.terminal; }

  void table(const Table& table);
  void facts(const Facts& facts);
  /// One line, for the eye only: nothing on a pipe.
  void remark(std::string_view text, Tone tone = Tone::kPlain);
  /// As they are.
  void bytes(std::string_view bytes) { text_ += bytes; }
  /// "refrain: ..." on standard error; while a terminal is redrawn, where it will be seen.
  void message(std::string_view text);

  /// Why standard output takes nothing, once it did not: what was lost is not printed again. None = all is
  /// out.
  const std::optional<std::string>& lost() const { return lost_; }

  void flush();
  /// From now on each flush() of a terminal replaces what stands there.
  void start_redrawing() { redraws_ = kind_.terminal; }

 private:
  void section();
  std::string painted(const Cell& cell, std::size_t width) const;

  std::ostream& out_;
  std::ostream& err_;
  Kind kind_;
  bool redraws_ = false;
  std::string text_;
  std::optional<std::string> lost_;
};

/// Of a terminal (two columns for a wide character are not counted).
std::size_t width_of(std::string_view text);
/// Without anything that a terminal would obey; bytes that are no UTF-8 as \xNN.
std::string printable(std::string_view text);
/// One field of a tab-separated line: tab, line feed, carriage return and backslash escaped.
std::string tsv_field(std::string_view text);

/// "0.4s", "12s", "3m12s", "5h02m", "2d03h": for people.
std::string format_age(std::int64_t milliseconds);
/// "0 B", "900 B", "1.5 KiB": for people.
std::string format_amount(std::uint64_t bytes);

}  // namespace refrain::cli
