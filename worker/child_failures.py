"""How an exception in the child is told in a job's log."""

from __future__ import annotations

import traceback
from pathlib import Path


def short_traceback(error: Exception) -> str:
    """The lines of a traceback. File names are without their folders: the log is shown to the job's owner."""
    lines = ["Traceback (most recent call last):"]
    for frame in traceback.extract_tb(error.__traceback__):
        lines.append(f"  {Path(frame.filename).name}:{frame.lineno} in {frame.name}: {frame.line or ''}")
    lines.append(f"{type(error).__name__}: {error}")
    return "\n".join(lines)
