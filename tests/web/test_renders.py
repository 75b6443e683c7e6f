"""The cache of renders: the oldest make room, and what another thread renames meanwhile harms nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from web import renders


def test_a_file_that_vanishes_meanwhile_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renders, "CACHE_BYTES", 10)
    # What a listing still names and a look no longer finds, as a part that was just renamed.
    (tmp_path / "gone.part").symlink_to(tmp_path / "nowhere")
    for age, name in enumerate(("newest", "middle", "oldest")):
        (tmp_path / name).write_bytes(b"1234")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    renders._make_room(tmp_path, 4)
    assert {path.name for path in tmp_path.iterdir()} == {"gone.part", "newest"}
