// SPDX-License-Identifier: Apache-2.0
// Bytes on disk: fixed big-endian numbers, varints (LEB128) and length-prefixed strings, with a reader that
// cannot run over.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace refrain {

class Writer {
 public:
  Writer() = default;
  explicit Writer(std::size_t expected_bytes) { out_.reserve(expected_bytes); }
  Writer& u8(std::uint8_t v) {
    out_.push_back(static_cast<char>(v));
    return *this;
  }
  Writer& u32(std::uint32_t v) { return fixed(v, 4); }
  Writer& u64(std::uint64_t v) { return fixed(v, 8); }
  Writer& varint(std::uint64_t v) {
    while (v >= 0x80) {
      u8(static_cast<std::uint8_t>(v | 0x80));
      v >>= 7;
    }
    return u8(static_cast<std::uint8_t>(v));
  }
  Writer& string(std::string_view v) {
    varint(v.size());
    out_.append(v);
    return *this;
  }
  Writer& raw(std::string_view v) {
    out_.append(v);
    return *this;
  }
  const std::string& bytes() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  Writer& fixed(std::uint64_t v, int bytes) {
    char text[8];
    for (int i = 0; i < bytes; ++i) text[i] = static_cast<char>(v >> (8 * (bytes - 1 - i)));
    out_.append(text, static_cast<std::size_t>(bytes));
    return *this;
  }
  std::string out_;
};

/// Reads what Writer wrote. After the first read past the end, or a varint over 64 bits, ok() is false and
/// all reads give zero or empty: check once, at the end, with done().
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  std::uint8_t u8() { return static_cast<std::uint8_t>(fixed(1)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(fixed(4)); }
  std::uint64_t u64() { return fixed(8); }
  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      std::uint8_t b = u8();
      if (shift == 63 && b > 1) return fail();
      v |= static_cast<std::uint64_t>(b & 0x7F) << shift;
      if (!(b & 0x80)) return v;
    }
    return fail();
  }
  std::string_view string() { return raw(varint()); }
  std::string_view raw(std::uint64_t bytes) {
    if (bytes > in_.size()) {
      fail();
      return {};
    }
    std::string_view v = in_.substr(0, bytes);
    in_.remove_prefix(bytes);
    return v;
  }
  std::string_view rest() { return raw(in_.size()); }
  std::size_t left() const { return in_.size(); }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && in_.empty(); }

 private:
  std::uint64_t fixed(int bytes) {
    std::string_view b = raw(static_cast<std::uint64_t>(bytes));
    std::uint64_t v = 0;
    for (char c : b) v = v << 8 | static_cast<std::uint8_t>(c);
    return v;
  }
  std::uint64_t fail() {
    ok_ = false;
    in_ = {};
    return 0;
  }
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace refrain
