"""What an HDF5 file of weights may hold: groups and datasets that lie in the file itself, of numbers, none too large.

HDF5 can point at other files: external links, external storage, virtual datasets. h5py follows such pointers without
asking, and a crafted file can crash its C library; so the file is walked in a process of its own, link by link.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from zoo.errors import Unavailable
from zoo.package_archive import PackageInvalid

log = logging.getLogger(__name__)

CHECK_SECONDS = 60
# What the process says when it has all it needs, before it opens the file.
BEGUN = "begun"
HINT = "Save the weights with Keras again, from a network that was trained in this session."


class NotLookedAt(Unavailable):
    """A fault of the installation, not of the file."""

    code = "weights-not-looked-at"


def check_hdf5(path: Path) -> None:
    """Raise `PackageInvalid` unless the HDF5 file at `path` is harmless; NotLookedAt when that cannot be found out."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("hdf5_walk.py")), str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False, env={})
    except subprocess.TimeoutExpired:
        raise _refuse("looking through it takes too long") from None
    begun, _, answer = done.stdout.partition("\n")
    if begun != BEGUN:
        log.error("the process that looks at weights does not start: %s", done.stderr.strip()[-500:])
        raise NotLookedAt("The file of weights cannot be looked at on this server.", "Tell whoever runs it.")
    if done.returncode:
        raise _refuse("it is damaged")
    said: dict[str, Any] = json.loads(answer)
    if said["reason"]:
        raise _refuse(said["reason"])


def _refuse(reason: str) -> PackageInvalid:
    return PackageInvalid(f"The file of weights is not accepted: {reason}.", HINT)
