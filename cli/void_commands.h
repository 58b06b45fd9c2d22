// SPDX-License-Identifier: Apache-2.0
// refrain events export and import: the commits that count nowhere, as lines of JSON, and back in as new
// ones.
#pragma once
#include "cli/context.h"

namespace refrain::cli {

int export_void(Context& context, const Arguments& arguments);

/// Each line is one commit, written whole or not at all: only where none of its keys has a version that its
/// writer had not seen. A second import of a line writes nothing.
int import_void(Context& context, const Arguments& arguments);

}  // namespace refrain::cli
