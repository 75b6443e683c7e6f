"""What an HDF5 file of weights may hold: groups and datasets that lie in the file itself, of numbers, none too large.

HDF5 can point at other files: external links, external storage, virtual datasets. h5py follows such pointers without
asking, and a crafted file can crash its C library; so the file is walked in a process of its own, link by link.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from zoo.package_archive import PackageInvalid

CHECK_SECONDS = 60
HINT = "Save the weights with Keras again, from a network that was trained in this session."


def check_hdf5(path: Path) -> None:
    """Raise `PackageInvalid` unless the HDF5 file at `path` is harmless."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("hdf5_walk.py")), str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False, env={})
    except subprocess.TimeoutExpired:
        raise _refuse("looking through it takes too long") from None
    if done.returncode:
        raise _refuse("it is damaged")
    said: dict[str, Any] = json.loads(done.stdout)
    if said["reason"]:
        raise _refuse(said["reason"])


def _refuse(reason: str) -> PackageInvalid:
    return PackageInvalid(f"The file of weights is not accepted: {reason}.", HINT)
