// SPDX-License-Identifier: Apache-2.0
// Nodes of different versions must agree on these for ever: the vectors are published ones, or were made by
// other programs.
#include "base/hash.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace refrain {
namespace {

using std::string_literals::operator""s;

template <class Hash>
std::string hex(const Hash& hash) {
  return hex_encode(as_bytes(hash));
}

TEST(HashVectors, Sha256IsThatOfFips180) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(HashVectors, Xxh3Of128BitsIsInCanonicalOrder) {
  EXPECT_EQ(hex(hash128("")), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hex(hash128("a")), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(hex(hash128("refrain")), "5d6f3c952d934a20b101253d77b18e57");
}

TEST(HashVectors, Crc32cIsThatOfIscsi) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
}

TEST(HashVectors, Crc32cIsTheSameByTheDefinitionForEveryLengthAndAlignment) {
  auto by_bits = [](std::string_view bytes) {
    std::uint32_t crc = 0xFFFFFFFF;
    for (char byte : bytes) {
      crc ^= static_cast<std::uint8_t>(byte);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    }
    return ~crc;
  };
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes.push_back(static_cast<char>(i * 151 + 7));
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t size = 0; from + size <= bytes.size(); ++size) {
      std::string_view part = std::string_view(bytes).substr(from, size);
      ASSERT_EQ(crc32c(part), by_bits(part)) << from << " " << size;
    }
  }
}

TEST(FramedHash, PutsTheLengthBeforeEachField) {
  EXPECT_EQ(sha256_framed({"ab", ""}), sha256("\0\0\0\x02"s + "ab" + "\0\0\0\0"s));
  EXPECT_EQ(hash128_framed({"ab", "c"}), hash128("\0\0\0\x02"s + "ab" + "\0\0\0\x01"s + "c"));
}

TEST(FramedHash, IsTheSameWhereItNeedsNoAllocation) {
  for (std::size_t size = 480; size < 540; ++size) {
    std::string field(size, 'x');
    std::string by_hand = std::string("\0\0", 2) + static_cast<char>(size >> 8) + static_cast<char>(size);
    EXPECT_EQ(hash128_framed({field, ""}), hash128(by_hand + field + "\0\0\0\0"s)) << size;
  }
}

TEST(FramedHash, DoesNotConfuseFieldBorders) {
  EXPECT_NE(sha256_framed({"ab", "c"}), sha256_framed({"a", "bc"}));
  EXPECT_NE(hash128_framed({"ab"}), hash128_framed({"ab", ""}));
}

}  // namespace
}  // namespace refrain
