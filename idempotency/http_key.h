// SPDX-License-Identifier: Apache-2.0
// Idempotency-Key on PUT and commit: an execute in a namespace of ours. What is stored as its response is a
// receipt of the commit; the JSON is made from it again, with the state as of then.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "idempotency/requests.h"

namespace refrain::idempotency {

/// "_http-" and the kv namespace. No caller can begin there: a leading '_' is no valid namespace.
std::string http_namespace(std::string_view kv_namespace);

/// Any node takes it, kept 24 h, whatever is configured.
RequestRules http_rules();

struct Receipt {
  CommitId commit;
  Version version;
  std::vector<bool> existed;  // per operation
  bool operator==(const Receipt&) const = default;
};
std::string encode_receipt(const Receipt& receipt);
std::optional<Receipt> decode_receipt(std::string_view bytes);

/// The execute of a kv commit under that key. Its effects are the commit's own operations.
ExecuteCall http_execute(std::string_view kv_namespace, std::string key, const Sha256& fingerprint,
                         std::vector<Effect> effects, const Receipt& receipt);

}  // namespace refrain::idempotency
