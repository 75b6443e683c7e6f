"""What is tried and downloaded: counted without waiting, written in batches, kept when models are shown anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.documents import DocumentsUnavailable, Query
from zoo.documents_sqlite import SqliteDocuments
from zoo.searched_fields import declare_searched
from zoo.shown_models import MODELS
from zoo.usage import MOST_WAITING, Usage


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    declare_searched(documents)
    for id in ("cells", "mito"):
        documents.create(MODELS, id, {"id": id, "name": id})
    yield documents
    documents.close()


def test_counts_reach_the_models_and_add_up(documents: SqliteDocuments) -> None:
    usage, other = Usage(documents, 3600), Usage(documents, 3600)
    for _ in range(3):
        usage.count("cells", "tried")
    other.count("cells", "downloads")
    usage.close()
    other.count("mito", "tried", 2)
    other.close()
    assert documents.get(MODELS, "cells").body["usage"] == {"tried": 3, "downloads": 1}
    assert documents.get(MODELS, "mito").body["usage"] == {"tried": 2, "downloads": 0}
    most = documents.search(MODELS, Query(sort="usage.tried", ranges={"usage.tried": (1, None)}))
    assert [item.id for item in most.items] == ["cells", "mito"]


def test_counts_are_written_by_themselves(documents: SqliteDocuments) -> None:
    usage = Usage(documents, 0.01)
    written = threading.Event()
    write = usage.write

    def told() -> None:
        write()
        written.set()

    usage.write = told  # type: ignore[method-assign]
    usage.count("cells", "tried")
    assert written.wait(10)
    assert documents.get("usage", "cells").body == {"id": "cells", "tried": 1, "downloads": 0}
    usage.close()


def test_what_is_no_model_is_forgotten_and_fills_no_memory(documents: SqliteDocuments) -> None:
    usage = Usage(documents, 3600)
    for number in range(MOST_WAITING + 5):
        usage.count(f"x{number}", "tried")
    usage.count("x1", "tried")
    assert len(usage._waiting) == MOST_WAITING
    usage._waiting = type(usage._waiting)({("nothing", "tried"): 1, ("cells", "tried"): 1})
    usage.close()
    assert documents.search("usage", Query(size=0)).total == 1
    with pytest.raises(ValueError, match="not counted"):
        usage.count("cells", "sold")


class Away(SqliteDocuments):
    away = False

    def get(self, collection: str, id: str):  # type: ignore[no-untyped-def]
        if self.away:
            raise DocumentsUnavailable("The documents are away.")
        return super().get(collection, id)


def test_what_cannot_be_written_waits(tmp_path: Path) -> None:
    documents = Away(tmp_path / "documents.sqlite3")
    documents.create(MODELS, "cells", {"id": "cells"})
    usage = Usage(documents, 3600)
    usage.count("cells", "downloads")
    documents.away = True
    usage.write()
    documents.away = False
    usage.close()
    assert documents.get(MODELS, "cells").body["usage"] == {"tried": 0, "downloads": 1}
    documents.close()
