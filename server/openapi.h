// SPDX-License-Identifier: Apache-2.0
// docs/openapi.json, as it was when the program was built.
#pragma once
#include <string_view>

namespace refrain::server {

std::string_view openapi_json();

}  // namespace refrain::server
