"""A child's sign of life: the monotonic time of its last step, in eight bytes of shared memory.

The monotonic clock is one for all processes of a machine, so the watchdog can tell the age without the wall clock.
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

_TIME = struct.Struct("=d")


class Heartbeat:
    """Written by the child, read by the watchdog. Beating costs no system call."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as stream:
            self._memory = mmap.mmap(stream.fileno(), _TIME.size)

    @classmethod
    def create(cls, file: Path) -> Heartbeat:
        """Make the file and count now as the first beat."""
        file.write_bytes(_TIME.pack(time.monotonic()))
        return cls(file)

    def beat(self) -> None:
        self._memory[:] = _TIME.pack(time.monotonic())

    def age_seconds(self) -> float:
        return max(0.0, time.monotonic() - _TIME.unpack(self._memory[:])[0])

    def close(self) -> None:
        self._memory.close()
