"""Edited texts and withdrawal: no new version, nothing deleted, and neither is undone by a reindex."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from publishing_parts import ADA, CountingRegistry, Parts, packages_read_once  # noqa: F401

from zoo.catalogue import ModelMissing, ModelWithdrawn
from zoo.documents_sqlite import SqliteDocuments
from zoo.errors import Unavailable
from zoo.reindex_command import _publish_stored
from zoo.shown_models import MODELS, TOMBSTONES, VERSIONS
from zoo.text_edits import BadEdit
from zoo.version_changes import BadReason


@pytest.fixture
def registry() -> CountingRegistry:
    return CountingRegistry()


@pytest.fixture
def parts(tmp_path: Path, registry: CountingRegistry) -> Iterator[Parts]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    yield Parts(tmp_path, documents, registry)
    documents.close()


def lose_documents(parts: Parts, *versions: str) -> None:
    """As if the index were lost, and made anew from the packages."""
    for version in versions:
        parts.documents.delete(VERSIONS, f"cells@{version}")
    for collection in (MODELS, TOMBSTONES):
        try:
            parts.documents.delete(collection, "cells")
        except Exception:
            continue
    _publish_stored(parts.catalogue, parts.blobs)


def test_an_edit_is_no_new_version_and_survives_a_reindex(parts: Parts) -> None:
    parts.published()
    before = parts.catalogue.get("cells")
    edited = parts.changes.edit(
        "cells",
        "1.0.0",
        {
            "name": " Cells of leaves ",
            "card": "# New\n",
            "tags": ["leaf", "leaf"],
            "about": {"organism": ["weed", "mouse"]},
        },
        ADA.id,
    )
    assert (edited["name"], edited["card"], edited["tags"]) == ("Cells of leaves", "# New", ["leaf"])
    assert (edited["version"], edited["doi"]) == ("1.0.0", before["doi"])
    # A word of the list of terms gets the name and the id it has there; any other stays as it is.
    assert edited["about"]["organism"] == ["weed", "Mus musculus"]
    assert edited["about"]["organism_ids"] == ["NCBITaxon:10090"]
    assert edited["edited_at"] > before["published_at"]
    parts.changes.edit("cells", "1.0.0", {"about": {"staining": ["My dye"], "organism": None}}, ADA.id)
    model = parts.catalogue.get("cells")
    assert "organism" not in model["about"]
    assert "organism_ids" not in model["about"]
    assert (model["about"]["staining"], model["name"]) == (["My dye"], "Cells of leaves")
    assert parts.catalogue.search("leaves").total == 1
    lose_documents(parts, "1.0.0")
    assert parts.catalogue.get("cells") == model


def test_edits_at_once_are_all_kept(parts: Parts) -> None:
    parts.published()
    edits: list[dict[str, Any]] = [
        {"description": "New."}, {"card": "New card"}, {"tags": ["new"]}, {"about": {"staining": ["My dye"]}},
    ]  # fmt: skip
    threads = [threading.Thread(target=parts.changes.edit, args=("cells", "1.0.0", edit, ADA.id)) for edit in edits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in (parts.catalogue.get("cells"), parts.catalogue.get("cells", "1.0.0")):
        assert (found["description"], found["card"], found["tags"]) == ("New.", "New card", ["new"])
        assert found["about"]["staining"] == ["My dye"]


@pytest.mark.parametrize(
    "edits",
    [
        {"licence": "MIT"},
        {"name": " "},
        {"name": 3},
        {"name": "x" * 129},
        {"card": "x" * (2**18 + 1)},
        {"description": "a\x00b"},
        {"tags": "leaf"},
        {"tags": ["x" * 61]},
        {"about": []},
        {"about": {"task": "guess"}},
        {"about": {"framework": "keras"}},
    ],
)
def test_what_is_no_text_edit_is_refused(parts: Parts, edits: dict[str, Any]) -> None:
    parts.catalogue.publish(parts.blobs.path(parts.package()))
    before = parts.catalogue.get("cells")
    with pytest.raises(BadEdit):
        parts.changes.edit("cells", "1.0.0", edits, ADA.id)
    assert parts.catalogue.get("cells") == before


def test_a_withdrawn_version_gives_way_to_the_one_before(parts: Parts, registry: CountingRegistry) -> None:
    for version in ("1.0.0", "1.1.0"):
        parts.published(version=version)
    buried = parts.changes.withdraw("cells", "1.1.0", " It was trained on \n the test set. ", ADA.id)
    assert (buried["reason"], buried["versions"]) == ("It was trained on the test set.", ["1.1.0"])
    model = parts.catalogue.get("cells")
    assert (model["version"], [entry["version"] for entry in model["versions"]]) == ("1.0.0", ["1.0.0"])
    with pytest.raises(ModelWithdrawn, match="trained on the test set") as caught:
        parts.catalogue.get("cells", "1.1.0")
    assert (caught.value.status, caught.value.tombstone) == (410, buried)
    assert parts.catalogue.get_any("cells", "1.1.0")["name"] == "Cells"
    assert registry.calls[-1] == ("withdraw", "cells", "1.1.0", "It was trained on the test set.")
    again = parts.changes.withdraw("cells", "1.1.0", "Another reason.", ADA.id)
    assert again == buried


def test_a_withdrawn_model_leaves_a_tombstone_and_never_comes_back(parts: Parts) -> None:
    for version in ("1.0.0", "1.10.0"):
        parts.published(version=version)
    for version in ("1.10.0", "1.0.0"):
        parts.changes.withdraw("cells", version, "Wrong.", ADA.id)
    with pytest.raises(ModelWithdrawn) as caught:
        parts.catalogue.get("cells")
    tombstone = caught.value.tombstone
    assert (tombstone["name"], tombstone["versions"]) == ("Cells", ["1.10.0", "1.0.0"])
    assert tombstone["doi"] == "10.5072/cells"
    assert parts.catalogue.search().total == 0
    lose_documents(parts)
    lose_documents(parts, "1.0.0", "1.10.0")
    assert parts.catalogue.search().total == 0
    with pytest.raises(ModelWithdrawn):
        parts.catalogue.get("cells", "1.0.0")
    assert parts.catalogue.fill_seeds(parts.folder) == 0
    assert parts.blobs.exists(parts.package())
    with pytest.raises(ModelMissing, match="no model 'mito'"):
        parts.catalogue.get("mito")


def test_a_new_version_brings_a_withdrawn_model_back(parts: Parts) -> None:
    parts.published()
    parts.changes.withdraw("cells", "1.0.0", "Wrong.", ADA.id)
    parts.published(version="1.0.1")
    assert [entry["version"] for entry in parts.catalogue.get("cells")["versions"]] == ["1.0.1"]
    with pytest.raises(ModelWithdrawn):
        parts.catalogue.get("cells", "1.0.0")


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 1001])
def test_a_withdrawal_needs_a_reason(parts: Parts, reason: str) -> None:
    parts.catalogue.publish(parts.blobs.path(parts.package()))
    with pytest.raises(BadReason):
        parts.changes.withdraw("cells", "1.0.0", reason, ADA.id)
    assert parts.catalogue.get("cells")["version"] == "1.0.0"


def test_the_registry_is_told_when_it_is_back(parts: Parts, registry: CountingRegistry) -> None:
    parts.published()
    tell = registry.update

    def away(document: Any) -> dict[str, str]:
        raise Unavailable("The registry does not answer.")

    registry.update = away  # type: ignore[method-assign]
    parts.changes.edit("cells", "1.0.0", {"name": "Leaves"}, ADA.id)
    assert parts.catalogue.get("cells")["name"] == "Leaves"
    registry.update = tell  # type: ignore[method-assign]
    assert parts.changes.resume(older_than=-1) == 1
    assert registry.calls[-1] == ("update", "cells", "Leaves")
    assert parts.changes.resume(older_than=-1) == 0


def test_what_was_stopped_half_way_is_shown_later(parts: Parts) -> None:
    parts.published()
    parts.catalogue.records.change("cells", "1.0.0", lambda record: record.update(edits={"name": "Leaves"}))
    assert parts.catalogue.get("cells")["name"] == "Cells"
    assert parts.changes.resume(older_than=-1) == 1
    assert parts.catalogue.get("cells")["name"] == parts.catalogue.get("cells", "1.0.0")["name"] == "Leaves"
    assert parts.changes.resume(older_than=-1) == 0


def test_what_belongs_to_the_model_outlives_its_versions(parts: Parts) -> None:
    parts.published()
    stored = parts.documents.get(MODELS, "cells")
    parts.documents.replace(MODELS, "cells", stored.body | {"usage": {"tried": 7, "downloads": 2}}, stored.revision)
    parts.published(version="1.1.0")
    assert parts.catalogue.get("cells")["usage"] == {"tried": 7, "downloads": 2}
    # One that the operator publishes from the terminal is still the author's model.
    parts.catalogue.publish(parts.blobs.path(parts.package(version="1.2.0")))
    model = parts.catalogue.get("cells")
    assert (model["version"], model["owner"], model["usage"]["tried"]) == ("1.2.0", ADA.id, 7)


def test_a_reindex_publishes_nothing_that_was_only_submitted(parts: Parts) -> None:
    """Drafts, what is under review, what was replaced by a later upload or discarded: all are stored packages too."""
    parts.checked(name="draft")
    parts.review.submit(parts.checked(name="waiting"), ADA)
    parts.review.discard(parts.checked(name="discarded"), ADA)
    replaced = parts.checked(name="replaced")
    parts.submissions.start_check(replaced, "job2", parts.package("later"))
    parts.published()
    lose_documents(parts, "1.0.0")
    assert [item.id for item in parts.catalogue.search().items] == ["cells"]
