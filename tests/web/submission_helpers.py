"""Submissions in tests of the web room, as far as their check, which a worker's hand stands for elsewhere."""

from __future__ import annotations

import io
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from example_package import make_package
from flask import Flask

REPORT = {
    "passed": True, "load_s": 0.5, "seconds_per_megapixel": 0.25, "device": "cpu", "objects": 12, "at": 1.0,
    "difference": 0.0, "peak_memory_bytes": 10**8,
    "steps": [{"name": "load", "ok": True, "sentence": "The network was loaded.", "seconds": 0.5}],
}  # fmt: skip


@lru_cache
def package_bytes(name: str, version: str, title: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return make_package(Path(folder) / f"{name}.zip", version=version, name=title).read_bytes()


def checked_draft(
    app: Flask, owner: str, name: str = "leaves", version: str = "1.0.0", title: str = "Leaves", **fields: Any
) -> str:
    """The id of a draft whose package has passed its check."""
    parts = app.extensions["zooscope"]
    sha256 = parts.blobs.put(io.BytesIO(package_bytes(name, version, title))).sha256
    draft = parts.submissions.create(owner, {"id": name, "version": version, "name": title} | fields)
    parts.submissions.start_check(draft["id"], "0" * 32, sha256)
    parts.submissions.end_check(draft["id"], "0" * 32, "passed", REPORT, sha256)
    return str(draft["id"])
