// SPDX-License-Identifier: Apache-2.0
#include "idempotency/http_key.h"

#include "base/coding.h"
#include "base/text.h"

namespace refrain::idempotency {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr Milliseconds kKept{86'400'000};

}  // namespace

std::string http_namespace(std::string_view kv_namespace) {
  return "_http-" + std::string(kv_namespace);
}

RequestRules http_rules() {
  RequestRules rules;
  rules.response_ttl = kKept;
  rules.seen_ttl = kKept;
  return rules;
}

std::string encode_receipt(const Receipt& receipt) {
  Writer out;
  out.u8(kFormat).string(receipt.commit.node).u64(receipt.commit.incarnation.value);
  out.u64(receipt.commit.seq.value).u64(receipt.version.hlc.value).string(receipt.version.node);
  out.varint(receipt.existed.size());
  for (bool existed : receipt.existed) out.u8(existed);
  return out.take();
}

std::optional<Receipt> decode_receipt(std::string_view bytes) {
  Reader in(bytes);
  bool known = in.u8() == kFormat;
  Receipt receipt;
  receipt.commit.node = std::string(in.string());
  receipt.commit.incarnation = {in.u64()};
  receipt.commit.seq = {in.u64()};
  receipt.version.hlc = {in.u64()};
  receipt.version.node = std::string(in.string());
  for (std::uint64_t left = in.varint(); left > 0 && in.ok(); --left) receipt.existed.push_back(in.u8() != 0);
  if (!known || !in.done()) return std::nullopt;
  return receipt;
}

ExecuteCall http_execute(std::string_view kv_namespace, std::string key, const Sha256& fingerprint,
                         std::vector<Effect> effects, const Receipt& receipt) {
  Completion completion;
  completion.response = Response{200, "application/x-refrain-receipt", encode_receipt(receipt)};
  completion.effects = std::move(effects);
  return {http_namespace(kv_namespace), std::move(key), fingerprint, std::move(completion)};
}

}  // namespace refrain::idempotency
