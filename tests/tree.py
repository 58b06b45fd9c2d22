# SPDX-License-Identifier: Apache-2.0
"""Which files are the project's: what git tracks and what is new and not ignored."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def project_files(root: pathlib.Path = ROOT):
    """Paths relative to `root`, sorted; deleted ones left out."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    return sorted(path for path in map(pathlib.Path, filter(None, names)) if (root / path).is_file())
