"""A full disk: the error, the check that keeps some space free, and how the system says it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from zoo.errors import ZooscopeError

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFull(ZooscopeError):
    code = "storage-full"
    status = 507

    def __init__(self, folder: Path) -> None:
        super().__init__(
            "The disk that Zooscope keeps its data on is full, so nothing was stored.",
            "Delete previews you no longer need, or ask whoever runs this Zooscope to make room, and try again.",
        )
        self.folder = folder


def check_free(folder: Path, needed_bytes: int, floor_bytes: int) -> None:
    """Raise `DiskFull` when writing `needed_bytes` would leave less than `floor_bytes` on the disk of `folder`."""
    if shutil.disk_usage(folder).free - needed_bytes < floor_bytes:
        raise DiskFull(folder)


def is_full(error: OSError) -> bool:
    """Whether the system refused a write for want of space or quota."""
    return error.errno in FULL_ERRNOS
