// SPDX-License-Identifier: Apache-2.0
// Hashes that nodes and versions must agree on. A *framed* hash runs over fields in a fixed order, each
// preceded by its length as u32 big-endian, so that no two field lists collide. Test vectors:
// proto/vectors.txt.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace refrain {

using Sha256 = std::array<std::uint8_t, 32>;
using Hash128 = std::array<std::uint8_t, 16>;  // XXH3-128, seed 0, canonical (big-endian) form

Sha256 sha256(std::string_view bytes);
Sha256 sha256_framed(std::initializer_list<std::string_view> fields);
Hash128 hash128(std::string_view bytes);
Hash128 hash128_framed(std::initializer_list<std::string_view> fields);
std::uint32_t crc32c(std::string_view bytes);  // Castagnoli, as in iSCSI: crc32c("123456789") = 0xE3069283

template <class Hash>
std::string_view as_bytes(const Hash& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

}  // namespace refrain
