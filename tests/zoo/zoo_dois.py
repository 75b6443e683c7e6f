"""What the tests of DOIs share: documents of versions, packages, and a crash at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from zoo.documents_sqlite import SqliteDocuments

PUBLIC_URL = "https://zoo.example.org"


def version_document(version: str = "1.0.0", id: str = "cells", **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "version": version,
        "name": "Cells & nuclei",
        "description": "Finds <cells> in phase contrast.",
        "licence": "CC-BY-4.0",
        "authors": [
            {"name": "Ada van der Berg", "orcid": "0000-0002-1825-0097", "affiliation": "Institute of Cells"},
            {"name": "The Zooscope founders"},
        ],
        "cite": [{"text": "A paper", "doi": "10.1038/s41592-019-0612-7"}],
        "tags": ["cells", "2d"],
        "published_at": 1_790_000_000.0,
        "package_sha256": "ab" * 32,
        "package_bytes": 1234,
    } | fields


def package_of(folder: Path, version: str) -> Path:
    path = folder / f"{version}.zip"
    path.write_bytes(f"the package of {version}".encode())
    return path


class Killed(BaseException):
    """The process ended here."""


class Crash:
    """Ends the process before its `at`-th request or write, counted from 1; 0: never. Also counts them all."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise Killed


class CrashingDocuments(SqliteDocuments):
    crash: Crash

    def create(self, collection: str, id: str, body: Mapping[str, Any]) -> Any:
        self.crash.step()
        return super().create(collection, id, body)

    def replace(self, collection: str, id: str, body: Mapping[str, Any], revision: str, lasting: bool = True) -> Any:
        self.crash.step()
        return super().replace(collection, id, body, revision, lasting)

    def delete(self, collection: str, id: str, revision: str | None = None) -> None:
        self.crash.step()
        super().delete(collection, id, revision)


@contextmanager
def crashing(documents: CrashingDocuments, at: int = 0) -> Iterator[Crash]:
    """Within, the process is killed at a step; what lies at the registry and on the disk stays."""
    crash = documents.crash = Crash(at)
    send: Callable[..., Any] = requests.Session.send

    def counted(*arguments: Any, **options: Any) -> Any:
        crash.step()
        return send(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "send", counted)
        try:
            yield crash
        except Killed:
            pass
        finally:
            documents.crash = Crash()
