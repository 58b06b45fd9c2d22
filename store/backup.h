// SPDX-License-Identifier: Apache-2.0
// A backup: a copy of a running node's store in a directory of its own, and a new node's directory made of
// one.
//
// Crash: both are made under another name (`.partial` behind it), synced and then renamed, so a half-made one
// is never taken for a whole one; what is left of it is named by the next call and must be removed by hand.
#pragma once
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "store/engine.h"
#include "store/meta.h"

namespace refrain::store {

struct BackupInfo {
  std::string node;
  std::string cluster;  // its name
  WallMs at;
  std::uint64_t bytes = 0;  // of the store's files
};

/// Makes `directory`, which must not exist, on the file system of `data_dir`: tables are linked, not copied,
/// so it takes about as long as copying the logs. Has at least all synced batches; writes go on. Any thread.
/// kInvalid for a directory that cannot be used (nothing was made), kUnavailable disk_full or store_failed.
Result<BackupInfo> make_backup(Engine& engine, const std::string& data_dir, const std::string& directory,
                               BackupInfo whose);

/// Whether a directory is a backup, which no node may be started on.
bool is_backup(const std::string& directory);

struct RestoreOptions {
  std::string from;
  std::string data_dir;      // must be missing or empty
  std::string cluster_name;  // of the new cluster; empty = as it was
  ClusterId cluster;         // new, random
  Incarnation incarnation;   // new, random
};

struct Restored {
  BackupInfo backup;
  std::string cluster_name;
  ClusterId old_cluster;
  AppliedTable applied;            // what the backup had of each journal
  std::uint64_t void_commits = 0;  // kept aside, of nodes that are gone
};

/// Makes a data directory of a backup for a node that founds a new cluster: all rows, a clock above all of
/// them, and nothing of the old cluster's membership, journals and cursors. `from` is only read. kNotFound:
/// it is no backup; kCorrupt: damaged or newer_format, older_format; kConflict: half a snapshot; kInvalid:
/// `data_dir` cannot be used; kUnavailable disk_full or store_failed. After an error there is no data
/// directory.
Result<Restored> restore_backup(const RestoreOptions& options);

}  // namespace refrain::store
