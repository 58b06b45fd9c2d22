// SPDX-License-Identifier: Apache-2.0
// Whether a node may say go in a namespace: only while all members show the scope that it has itself, and
// nothing that one of them decided under another scope can still be on its way. Pure; any thread.
//
// Why that makes a home move safe. A node changes its scope by a restart and announces it in the members log;
// until that is counted it says no go. What it decided before stands in its journal before the tick by which
// it shows that it has read its own announcement; so whoever has applied that tick has all of it. Of a member
// that is over, what it decided goes as far as its journal's end.
#pragma once
#include <optional>
#include <string>

#include "replication/watermarks.h"

namespace refrain::replication {

/// The scope that a member announces for a namespace: "local", "home:eu".
std::string scope_in(const MemberTraits& traits, const std::string& ns);

/// Who keeps this node from saying go in `ns`, whose scope is `ours` by its configuration, and why: a whole
/// sentence that names the member. None: all agree, and all that was decided under another scope is here.
std::optional<std::string> scope_trouble(const Knowledge& known, const std::string& ns,
                                         const std::string& ours);

}  // namespace refrain::replication
