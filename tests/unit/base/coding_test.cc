// SPDX-License-Identifier: Apache-2.0
#include "base/coding.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace refrain {
namespace {

using std::string_literals::operator""s;

TEST(Coding, NumbersAreBigEndianSoThatBytesSortAsNumbers) {
  EXPECT_EQ(Writer{}.u8(1).u32(0x02030405).u64(0x060708090A0B0C0D).bytes(),
            "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D"s);
}

TEST(Coding, VarintIsLeb128) {
  EXPECT_EQ(Writer{}.varint(0).bytes(), "\0"s);
  EXPECT_EQ(Writer{}.varint(127).bytes(), "\x7F");
  EXPECT_EQ(Writer{}.varint(300).bytes(), "\xAC\x02");
  EXPECT_EQ(Writer{}.varint(UINT64_MAX).bytes(), "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01");
}

RC_GTEST_PROP(Coding, ReaderGivesBackWhatWriterWrote,
              (std::uint8_t a, std::uint32_t b, std::uint64_t c, std::uint64_t d, const std::string& e,
               const std::string& f)) {
  std::string bytes = Writer{}.u8(a).u32(b).u64(c).varint(d).string(e).raw(f).take();
  Reader in(bytes);
  RC_ASSERT(in.u8() == a);
  RC_ASSERT(in.u32() == b);
  RC_ASSERT(in.u64() == c);
  RC_ASSERT(in.varint() == d);
  RC_ASSERT(in.string() == e);
  RC_ASSERT(in.rest() == f);
  RC_ASSERT(in.done());
}

TEST(Coding, ReadingPastTheEndFailsAndGivesNothingMore) {
  Reader in("\x01\x02\x03");
  EXPECT_EQ(in.u32(), 0u);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0u);
  EXPECT_EQ(in.string(), "");
  EXPECT_FALSE(in.done());
}

TEST(Coding, AStringLongerThanTheInputFails) {
  Reader in(
      "\x05"
      "abc");
  EXPECT_EQ(in.string(), "");
  EXPECT_FALSE(in.ok());
}

TEST(Coding, AVarintOfMoreThan64BitsFails) {
  Reader too_large("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02");
  (void)too_large.varint();
  EXPECT_FALSE(too_large.ok());
  Reader endless("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80");
  (void)endless.varint();
  EXPECT_FALSE(endless.ok());
}

TEST(Coding, BytesLeftOverAreNotDone) {
  Reader in("\x01\x02");
  EXPECT_EQ(in.u8(), 1);
  EXPECT_TRUE(in.ok());
  EXPECT_FALSE(in.done());
  EXPECT_EQ(in.left(), 1u);
}

}  // namespace
}  // namespace refrain
