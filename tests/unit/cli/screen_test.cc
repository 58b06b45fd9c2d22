// SPDX-License-Identifier: Apache-2.0
#include "cli/screen.h"

#include <gtest/gtest.h>

#include <sstream>

namespace refrain::cli {
namespace {

std::string printed(Screen::Kind kind, const Table& table) {
  std::ostringstream out, err;
  Screen screen(out, err, kind);
  screen.table(table);
  screen.flush();
  return out.str();
}

const Table kTable{{"KEY", "VALUE"}, {{"a", "1"}, {"käse", "2"}, {"long-key", Cell("3", Tone::kBad)}}};

TEST(ScreenTable, IsAlignedOnATerminal) {
  EXPECT_EQ(printed({true, false}, kTable),
            "KEY        VALUE\n"
            "a          1\n"
            "käse       2\n"
            "long-key   3\n");
}

TEST(ScreenTable, IsTabSeparatedUnderAHeaderLineOnAPipe) {
  EXPECT_EQ(printed({false, false}, kTable), "KEY\tVALUE\na\t1\nkäse\t2\nlong-key\t3\n");
}

TEST(ScreenTable, KeepsOneLineARowWhateverStandsInIt) {
  Table nasty{{"KEY", "VALUE"}, {{"a\tb", "c\nd\\e\r"}}};
  EXPECT_EQ(printed({false, false}, nasty), "KEY\tVALUE\na\\tb\tc\\nd\\\\e\\r\n");
}

TEST(ScreenTable, NeverSendsATerminalWhatItWouldObey) {
  Table nasty{{"KEY", "VALUE"},
              {{"\x1b[2J",
                "\xC2\x9B"
                "2J\xFF"}}};
  EXPECT_EQ(printed({true, false}, nasty), "KEY       VALUE\n\\x1b[2J   \\xc2\\x9b2J\\xff\n");
}

TEST(ScreenTable, UsesColourOnlyWhenItMay) {
  EXPECT_NE(printed({true, true}, kTable).find("\x1b[1;31m3\x1b[0m"), std::string::npos);
  EXPECT_EQ(printed({true, false}, kTable).find('\x1b'), std::string::npos);
  EXPECT_EQ(printed({false, false}, kTable).find('\x1b'), std::string::npos);
}

TEST(ScreenTable, WithoutRowsStillHasItsHeader) {
  EXPECT_EQ(printed({false, false}, {{"KEY", "VALUE"}, {}}), "KEY\tVALUE\n");
}

TEST(ScreenFacts, AreLinesOnATerminalWithoutTheEmptyOnesAndOneRowOnAPipe) {
  Facts facts;
  facts.add("STATE", "synced");
  facts.add("HAS IT", "eu, us");
  facts.add("WHY", "");
  for (bool terminal : {true, false}) {
    std::ostringstream out, err;
    Screen screen(out, err, {terminal, false});
    screen.facts(facts);
    screen.flush();
    EXPECT_EQ(out.str(),
              terminal ? "STATE    synced\nHAS IT   eu, us\n" : "STATE\tHAS_IT\tWHY\nsynced\teu, us\t\n");
  }
}

TEST(ScreenMessages, GoToStandardErrorAndDataDoesNot) {
  std::ostringstream out, err;
  Screen screen(out, err, {false, false});
  screen.bytes("data");
  screen.message("a message");
  screen.flush();
  EXPECT_EQ(out.str(), "data");
  EXPECT_EQ(err.str(), "refrain: a message\n");
}

TEST(ScreenRedrawing, ReplacesWhatStoodOnATerminalOnly) {
  for (bool terminal : {true, false}) {
    std::ostringstream out, err;
    Screen screen(out, err, {terminal, false});
    screen.start_redrawing();
    screen.bytes("a");
    screen.flush();
    screen.bytes("b");
    screen.flush();
    EXPECT_EQ(out.str(), terminal ? "\x1b[H\x1b[2Ja\x1b[H\x1b[2Jb" : "ab");
  }
}

TEST(AgeText, HasOneOrTwoUnits) {
  EXPECT_EQ(format_age(-5), "0.0s");
  EXPECT_EQ(format_age(0), "0.0s");
  EXPECT_EQ(format_age(450), "0.4s");
  EXPECT_EQ(format_age(9'999), "9.9s");
  EXPECT_EQ(format_age(10'000), "10s");
  EXPECT_EQ(format_age(192'000), "3m12s");
  EXPECT_EQ(format_age(5 * 3'600'000 + 120'000), "5h02m");
  EXPECT_EQ(format_age(51 * 3'600'000), "2d03h");
}

TEST(AmountText, IsForPeople) {
  EXPECT_EQ(format_amount(0), "0 B");
  EXPECT_EQ(format_amount(1023), "1023 B");
  EXPECT_EQ(format_amount(1536), "1.5 KiB");
  EXPECT_EQ(format_amount(std::uint64_t{3} << 40), "3.0 TiB");
}

}  // namespace
}  // namespace refrain::cli
