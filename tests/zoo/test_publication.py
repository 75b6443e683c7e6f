"""Publication, killed before every single write and every call of the registry, is resumed to one and the same end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from publishing_parts import ADA, RITA, CountingRegistry, Parts, packages_read_once  # noqa: F401

from zoo.catalogue import ModelWithdrawn
from zoo.documents import DocumentMissing, Documents
from zoo.documents_sqlite import SqliteDocuments
from zoo.errors import Unavailable
from zoo.shown_models import MODELS, TOMBSTONES, VERSIONS
from zoo.submissions import Body


class Killed(BaseException):
    """The process ends here."""


class Fuse:
    """Burns through before the `at`th thing that leaves a trace; 0 never does."""

    at = count = 0

    def burn(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise Killed


class Mortal:
    """Any part whose calls that change something burn the fuse."""

    def __init__(self, part: Any, fuse: Fuse, changing: tuple[str, ...]) -> None:
        self._part, self._fuse, self._changing = part, fuse, changing

    def __getattr__(self, name: str) -> Any:
        if name in self._changing:
            self._fuse.burn()
        return getattr(self._part, name)


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    yield documents
    documents.close()


def mortal_parts(folder: Path, documents: Documents, registry: CountingRegistry) -> tuple[Parts, Fuse]:
    fuse = Fuse()
    writes = Mortal(documents, fuse, ("create", "replace", "delete"))
    calls = Mortal(registry, fuse, ("reserve", "publish", "update", "withdraw"))
    return Parts(folder, writes, calls), fuse


def end_of(documents: Documents, id: str) -> Body:
    body = documents.get("submissions", id).body
    version = documents.get(VERSIONS, "cells@1.0.0").body
    model = documents.get(MODELS, "cells").body
    assert {name: model[name] for name in version} == version
    assert [entry["version"] for entry in model["versions"]] == ["1.0.0"]
    assert model["package_sha256"] == body["package_sha256"]
    assert (model["owner"], model["check"]["passed"], model["doi"]) == (ADA.id, True, "10.5072/cells.1")
    assert model["versions"][0]["doi"] == model["doi"] == body["doi"]
    return body


def test_killed_anywhere_it_is_resumed(documents: SqliteDocuments, tmp_path: Path) -> None:
    registry = CountingRegistry()
    steps = 0
    while True:
        steps += 1
        forget_all(documents)
        id = Parts(tmp_path, documents, registry).checked()
        parts, fuse = mortal_parts(tmp_path, documents, registry)
        parts.submissions.change(id, submitted)
        fuse.count, fuse.at = 0, steps
        try:
            parts.review.accept(id, RITA)
            parts.publication.go_on(id)
        except Killed:
            again = Parts(tmp_path, documents, registry)
            if again.submissions.get(id)["state"] == "submitted":
                # Nobody was told that it is accepted: the reviewer presses the button again.
                again.review.accept(id, RITA)
            again.publication.resume()
            again.changes.resume(older_than=-1)
        assert end_of(documents, id)["state"] == "published"
        if fuse.count < steps:
            break
    assert steps > 8


def submitted(body: Body) -> None:
    body |= {"state": "submitted", "model_id": "cells", "version": "1.0.0"}


def forget_all(documents: Documents) -> None:
    """As if nothing had been published yet."""
    whole, single = (MODELS, TOMBSTONES, "model_owners"), (VERSIONS, "version_records")
    for collection, id in [*((one, "cells") for one in whole), *((one, "cells@1.0.0") for one in single)]:
        with contextlib.suppress(DocumentMissing):
            documents.delete(collection, id)


def test_a_withdrawal_killed_anywhere_is_done_or_not_at_all(documents: SqliteDocuments, tmp_path: Path) -> None:
    registry = CountingRegistry()
    step = 0
    while True:
        step += 1
        forget_all(documents)
        registry.calls.clear()
        whole = Parts(tmp_path, documents, registry)
        whole.published()
        parts, fuse = mortal_parts(tmp_path, documents, registry)
        fuse.at = step
        try:
            parts.changes.withdraw("cells", "1.0.0", "Wrong.", ADA.id)
        except Killed:
            whole.changes.resume(older_than=-1)
        withdrawn = bool(whole.catalogue.records.get("cells", "1.0.0").get("withdrawn"))
        assert withdrawn == (step > 1)
        try:
            shown = [entry["version"] for entry in whole.catalogue.get("cells")["versions"]]
        except ModelWithdrawn:
            shown = []
        assert shown == ([] if withdrawn else ["1.0.0"])
        assert (("withdraw", "cells", "1.0.0", "Wrong.") in registry.calls) == withdrawn
        assert whole.changes.resume(older_than=-1) == 0
        if fuse.count < step:
            break
    assert step > 5


def test_without_the_registry_it_is_found_and_the_doi_comes_later(documents: SqliteDocuments, tmp_path: Path) -> None:
    class Away(CountingRegistry):
        away = True

        def publish(self, version_document: Any, package_path: Path) -> dict[str, str]:
            if self.away:
                raise Unavailable("The registry does not answer.", "It is tried again.")
            return super().publish(version_document, package_path)

    registry = Away()
    parts = Parts(tmp_path, documents, registry)
    id = parts.accepted()
    waiting = parts.publication.go_on(id)
    assert (waiting["state"], waiting["publication"]["message"]) == ("accepted", "The registry does not answer.")
    assert parts.catalogue.get("cells")["owner"] == ADA.id
    assert parts.publication.resume() == 0
    assert parts.submissions.get(id)["updated_at"] == waiting["updated_at"]
    registry.away = False
    assert parts.publication.resume() == 1
    assert end_of(documents, id)["publication"] is None


def test_no_registry_no_doi(documents: SqliteDocuments, tmp_path: Path) -> None:
    parts = Parts(tmp_path, documents)
    id = parts.published()
    assert parts.submissions.get(id)["doi"] == ""
    assert "doi" not in parts.catalogue.get("cells")


def test_a_published_submission_keeps_its_package_and_lets_go_of_its_weights(
    documents: SqliteDocuments, tmp_path: Path
) -> None:
    parts = Parts(tmp_path, documents)
    id = parts.checked()
    sha256 = parts.submissions.get(id)["package_sha256"]

    def upload(body: Body) -> None:
        body["files"] = {
            role: {"name": role, "sha256": digit * 64, "bytes": 1, "at": 1.0}
            for role, digit in (("weights", "a"), ("cover", "b"))
        }

    assert parts.submissions.change(id, upload)["blobs"] == sorted([sha256, "a" * 64, "b" * 64])
    parts.review.submit(id, ADA)
    parts.review.accept(id, RITA)
    assert parts.publication.go_on(id)["blobs"] == sorted([sha256, "b" * 64])
