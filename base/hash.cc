// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include <boost/crc.hpp>
#include <cstring>

#include "base/coding.h"
#include "base/result.h"

namespace refrain {
namespace {

std::string framed(std::initializer_list<std::string_view> fields) {
  Writer out;
  for (std::string_view field : fields) out.u32(static_cast<std::uint32_t>(field.size())).raw(field);
  return out.take();
}

#if defined(__x86_64__)
// The table version was 60 % of the time to encode or decode a small record, and the distribution has no
// library for it.
__attribute__((target("sse4.2"))) std::uint32_t crc32c_in_hardware(std::string_view bytes) {
  std::uint64_t crc = 0xFFFFFFFF;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto crc32 = static_cast<std::uint32_t>(crc);
  for (char byte : bytes) crc32 = _mm_crc32_u8(crc32, static_cast<std::uint8_t>(byte));
  return ~crc32;
}
#endif

}  // namespace

Sha256 sha256(std::string_view bytes) {
  Sha256 hash{};
  unsigned size = 0;
  REFRAIN_ASSERT(EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, EVP_sha256(), nullptr) == 1,
                 "SHA-256 is available");
  return hash;
}

Sha256 sha256_framed(std::initializer_list<std::string_view> fields) {
  return sha256(framed(fields));
}

Hash128 hash128(std::string_view bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  Hash128 hash{};
  std::copy(std::begin(canonical.digest), std::end(canonical.digest), hash.begin());
  return hash;
}

Hash128 hash128_framed(std::initializer_list<std::string_view> fields) {
  // The digest hashes three times a written row: small ones without an allocation.
  char small[512];
  std::size_t size = 0;
  for (std::string_view field : fields) {
    if (field.size() + 4 > sizeof(small) - size) return hash128(framed(fields));
    for (int shift = 24; shift >= 0; shift -= 8) small[size++] = static_cast<char>(field.size() >> shift);
    size = static_cast<std::size_t>(std::copy(field.begin(), field.end(), small + size) - small);
  }
  return hash128({small, size});
}

std::uint32_t crc32c(std::string_view bytes) {
#if defined(__x86_64__)
  static const bool in_hardware = __builtin_cpu_supports("sse4.2");
  if (in_hardware) return crc32c_in_hardware(bytes);
#endif
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

}  // namespace refrain
