// SPDX-License-Identifier: Apache-2.0
#include "idempotency/content.h"

#include <string_view>

#include "base/coding.h"
#include "base/text.h"

namespace refrain::idempotency {
namespace {

/// Fields, each preceded by its length: what a framed hash runs over.
class Frame {
 public:
  Frame& field(std::string_view bytes) {
    out_.u32(static_cast<std::uint32_t>(bytes.size())).raw(bytes);
    return *this;
  }
  Frame& effects(const std::vector<Effect>& effects) {
    for (const Effect& effect : effects) add(effect);
    return *this;
  }
  Sha256 hash() const { return sha256(out_.bytes()); }

 private:
  void add(const Effect& effect) {
    field(effect.value ? "put" : "delete").field(effect.ns).field(effect.key);
    field(effect.value ? std::string_view(*effect.value) : std::string_view());
    field(effect.ttl ? std::to_string(effect.ttl->count()) : std::string());
    field(effect.if_match ? format_version(*effect.if_match) : std::string());
    field(effect.if_none_match ? "*" : "");
  }
  Writer out_;
};

}  // namespace

Sha256 content_hash(const std::optional<Response>& response, const std::vector<Effect>& effects) {
  Frame frame;
  frame.field(response ? "response" : "too_large");
  if (response) {
    frame.field(std::to_string(response->status)).field(response->content_type).field(response->body);
  } else {
    frame.field("").field("").field("");
  }
  return frame.effects(effects).hash();
}

Sha256 effects_fingerprint(const std::vector<Effect>& effects) {
  return Frame().field("operations").effects(effects).hash();
}

}  // namespace refrain::idempotency
