"""Ids and names, and file names of strangers."""

from __future__ import annotations

import time
import unicodedata
import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.identifiers import (
    MAXIMUM_FILE_NAME,
    BadIdentifier,
    check_slug,
    check_version,
    is_sha256,
    is_slug,
    is_uuid,
    new_ordered_uuid,
    new_uuid,
    safe_file_name,
)


def test_uuids_are_random_and_of_one_form() -> None:
    made = {new_uuid() for _ in range(1000)}
    assert len(made) == 1000
    assert all(is_uuid(uuid) and uuid[12] == "4" for uuid in made)


def test_ordered_uuids_are_of_version_7_and_later_ones_greater() -> None:
    made = []
    for _ in range(5):
        before = time.time_ns() // 1_000_000
        several = {uuid.UUID(new_ordered_uuid()) for _ in range(200)}
        after = time.time_ns() // 1_000_000
        assert len(several) == 200
        assert all(one.version == 7 and one.variant == uuid.RFC_4122 for one in several)
        assert all(before <= one.int >> 80 <= after for one in several)
        made.append(several)
        while time.time_ns() // 1_000_000 == after:
            pass
    for earlier, later in pairwise(made):
        assert max(one.hex for one in earlier) < min(one.hex for one in later)


@pytest.mark.parametrize("text", ["", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "a" * 32 + "\n", "../" + "a" * 29])
def test_what_is_no_uuid(text: str) -> None:
    assert not is_uuid(text)
    assert not is_sha256(text * 2)


@pytest.mark.parametrize("text", ["nuclei", "em-mitochondria", "a", "1", "a.b_c-2", "a" * 100])
def test_slugs(text: str) -> None:
    assert check_slug(text) == text


@pytest.mark.parametrize(
    "text", ["", "A", "a b", "-a", "a-", ".a", "a..b", "a/b", "a@1", "ä", "a\n", "a" * 101, "\x00"]
)
def test_what_is_no_slug(text: str) -> None:
    assert not is_slug(text)
    with pytest.raises(BadIdentifier) as caught:
        check_slug(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["1", "1.0.0", "1.0.0-rc.1", "2026.1+build_5"])
def test_versions(text: str) -> None:
    assert check_version(text) == text


@pytest.mark.parametrize("text", ["", "1..0", "1/0", "1@0", ".1", "1.", "1 0", "1" * 41])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(BadIdentifier):
        check_version(text)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("cells.tif", "cells.tif"),
        ("Zellkerne 2 (überlagert).ome.tif", "Zellkerne 2 (überlagert).ome.tif"),
        ("細胞😀.png", "細胞😀.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cells.png", "cells.png"),
        ("a\x00b\nc.png", "abc.png"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("-rf.png", "rf.png"),
        (".htaccess", "htaccess"),
        ("CON.png", "_CON.png"),
        ("nul", "_nul"),
        ("what?.png", "what_.png"),
        ("trailing. . ", "trailing"),
        ("", "file"),
        ("...", "file"),
        ("a/", "file"),
        ("\ud800.png", "png"),
        ("x" * 300 + ".ome.tif", "x" * 116 + ".tif"),
    ],
)
def test_file_names(given_name: str, kept: str) -> None:
    assert safe_file_name(given_name) == kept


@given(st.text(max_size=300))
def test_any_file_name_becomes_harmless(name: str) -> None:
    kept = safe_file_name(name)
    assert 0 < len(kept) <= MAXIMUM_FILE_NAME + 1
    assert not set(kept) & set('/\\<>:"|?*\0\r\n')
    assert kept[0] not in ".-~ "
    assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in kept)
    assert safe_file_name(kept) == kept
    kept.encode()
