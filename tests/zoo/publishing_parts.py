"""The parts of publishing on real documents and blobs, and a submission taken as far as a test wants it."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from example_package import make_package

from zoo import catalogue, review
from zoo.blobs import DiskBlobs
from zoo.catalogue import Catalogue
from zoo.documents import Documents
from zoo.model_owners import ModelOwners
from zoo.package_safety import check_contents
from zoo.packages import ModelPackage, read_package
from zoo.publication import Publication
from zoo.review import Person, Review
from zoo.settings import Settings
from zoo.submissions import Submissions
from zoo.version_changes import VersionChanges

ADA, BOB, RITA = Person("ada", "Ada"), Person("bob", "Bob"), Person("rita", "Rita the reviewer")
ROOT = Person("root", "Root", admin=True)
REPORT = {"passed": True, "steps": [], "load_s": 0.1, "seconds_per_megapixel": 0.2, "at": 1.0}


@dataclass
class CountingRegistry:
    """What DOIs were asked for; a registry of its own is tested with `zoo.doi_minting`."""

    calls: list[tuple[str, ...]] = field(default_factory=list)

    def reserve(self, model_id: str, version: str) -> dict[str, str]:
        self.calls.append(("reserve", model_id, version))
        return {"doi": f"10.5072/{model_id}.{version}", "concept_doi": f"10.5072/{model_id}"}

    def publish(self, version_document: Mapping[str, Any], package_path: Path) -> dict[str, str]:
        self.calls.append(("publish", version_document["id"], version_document["version"]))
        assert package_path.is_file()
        return {"doi": f"10.5072/{version_document['id']}.1", "concept_doi": f"10.5072/{version_document['id']}"}

    def discard(self, model_id: str, version: str) -> None:
        self.calls.append(("discard", model_id, version))

    def update(self, document: Mapping[str, Any]) -> dict[str, str]:
        self.calls.append(("update", document["id"], document["name"]))
        return {}

    def withdraw(self, model_id: str, version: str, reason: str = "") -> dict[str, str]:
        self.calls.append(("withdraw", model_id, version, reason))
        return {}


@lru_cache
def package_bytes(name: str, version: str, title: str = "Cells") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return make_package(Path(folder) / f"{name}.zip", version=version, name=title).read_bytes()


@pytest.fixture(autouse=True)
def packages_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blobs never change: what was read and checked of a package once serves wherever it is published again."""
    for module in (catalogue, review):
        monkeypatch.setattr(module, "read_package", lambda path, settings: _read(path.name, path, settings))
    monkeypatch.setattr(catalogue, "check_contents", lambda package: None)


_KNOWN: dict[str, ModelPackage] = {}


def _read(sha256: str, path: Path, settings: Settings) -> ModelPackage:
    if sha256 not in _KNOWN:
        _KNOWN[sha256] = read_package(path, settings)
        check_contents(_KNOWN[sha256])
    return replace(_KNOWN[sha256], path=path)


class Parts:
    """Everything on one folder; made again on the same one it is the service started anew."""

    def __init__(self, folder: Path, documents: Documents, registry: Any = None) -> None:
        self.folder = folder
        self.documents = documents
        self.blobs = DiskBlobs(folder / "blobs")
        self.settings = Settings(data=folder, free_disk_bytes=0)
        self.catalogue = Catalogue(documents, self.blobs, self.settings)
        self.submissions = Submissions(documents)
        self.owners = ModelOwners(documents)
        self.registry = registry
        self.changes = VersionChanges(self.catalogue, registry)
        self.review = Review(self.submissions, self.catalogue, self.owners)
        self.publication = Publication(self.submissions, self.catalogue, self.owners, self.changes, registry)

    def package(self, name: str = "cells", version: str = "1.0.0", title: str = "Cells") -> str:
        """The sha256 of the blob of a package."""
        return self.blobs.put(io.BytesIO(package_bytes(name, version, title))).sha256

    def checked(self, owner: Person = ADA, name: str = "cells", version: str = "1.0.0", title: str = "Cells") -> str:
        """The id of a draft that has passed its check."""
        sha256 = self.package(name, version, title)
        id = self.submissions.create(owner.id, {"id": name, "version": version, "name": "Cells"})["id"]
        self.submissions.start_check(id, "job1", sha256)
        self.submissions.end_check(id, "job1", "passed", REPORT, sha256)
        return str(id)

    def accepted(self, owner: Person = ADA, name: str = "cells", version: str = "1.0.0", title: str = "Cells") -> str:
        id = self.checked(owner, name, version, title)
        self.review.submit(id, owner)
        self.review.accept(id, RITA)
        return id

    def published(self, owner: Person = ADA, name: str = "cells", version: str = "1.0.0", title: str = "Cells") -> str:
        id = self.accepted(owner, name, version, title)
        assert self.publication.go_on(id)["state"] == "published"
        return id
