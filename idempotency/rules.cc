// SPDX-License-Identifier: Apache-2.0
#include "idempotency/rules.h"

namespace refrain::idempotency {

std::string format_scope(const Scope& scope) {
  switch (scope.kind) {
    case Scope::Kind::kLocal:
      return "local";
    case Scope::Kind::kHome:
      return "home:" + scope.home;
    case Scope::Kind::kGlobal:
      return "global";
  }
  return {};
}

}  // namespace refrain::idempotency
