// SPDX-License-Identifier: Apache-2.0
// JSON text in the order in which it is said; it is built on the hot path, so it appends and nothing else.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace refrain::server {

/// The caller opens and closes what it opened; commas are placed here. Strings must be UTF-8, or go through
/// bytes().
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag);
  JsonWriter& value(std::int64_t number);
  JsonWriter& value(std::uint64_t number);
  JsonWriter& value(std::uint32_t number) { return value(std::uint64_t{number}); }
  JsonWriter& value(int number) { return value(std::int64_t{number}); }
  JsonWriter& value(double number);
  JsonWriter& value(WallMs time);
  JsonWriter& value(const std::vector<std::string>& texts);
  JsonWriter& null();
  template <class T>
  JsonWriter& value(const std::optional<T>& maybe) {
    return maybe ? value(*maybe) : null();
  }

  template <class T>
  JsonWriter& member(std::string_view name, const T& what) {
    key(name);
    return value(what);
  }
  /// `name` when the bytes are UTF-8, else `name_base64`.
  JsonWriter& bytes(std::string_view name, std::string_view what);

  std::size_t size() const { return out_.size(); }
  /// Where the text is now, to take away what is written after it.
  struct Mark {
    std::size_t size;
    bool fresh;
  };
  Mark mark() const { return {out_.size(), fresh_}; }
  void back_to(const Mark& mark) {
    out_.resize(mark.size);
    fresh_ = mark.fresh;
  }

  std::string take() { return std::move(out_); }

 private:
  void comma();
  std::string out_;
  bool fresh_ = true;  // nothing stands before the next element
};

}  // namespace refrain::server
