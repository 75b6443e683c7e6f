"""File names of strangers (security.md 31)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.image_names import LONGEST, display_name


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("cells.tif", "cells.tif"),
        ("../../etc/passwd", "passwd"),
        ("C:\\images\\a b.png", "a b.png"),
        ("a\x00b\n.tif", "ab.tif"),
        ("photo\u202efit.exe", "photofit.exe"),
        ("--rf.tif", "rf.tif"),
        ("🔬 nuclei.tif", "🔬 nuclei.tif"),
        ("", "image"),
        ("...", "image"),
        ("x" * 300 + ".tif", "x" * (LONGEST - 4) + ".tif"),
    ],
)
def test_31_names(given_name: str, shown: str) -> None:
    assert display_name(given_name) == shown


@given(st.text())
def test_31_any_name_becomes_a_plain_one(name: str) -> None:
    shown = display_name(name)
    assert 0 < len(shown) <= LONGEST
    assert "/" not in shown
    assert "\\" not in shown
    assert shown.isprintable()
