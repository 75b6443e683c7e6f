"""What belongs to a published version besides its package: owner, DOI, check report, edited texts, withdrawal.

A document `<id>@<version>` of `version_records` for each version that has any of it. The catalogue's document of the
version is its package's description with this laid over it, so that it can be made anew from both at any time.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

from zoo.documents import DocumentExists, DocumentMissing, Documents, Fields, Query, RevisionConflict
from zoo.errors import Unavailable
from zoo.package_metadata import tidied

COLLECTION = "version_records"
# What is laid over the version's document as it is.
LAID_OVER = ("owner", "check", "doi", "concept_doi", "published_at", "edited_at", "withdrawn")
# The texts an author may change without a new version; `about` is merged by its keys.
EDITED_TEXTS = ("name", "description", "card", "tags")
MAXIMUM_TRIES = 200

Record = dict[str, Any]


class RecordContended(Unavailable):
    code = "record-contended"


class VersionRecords:
    """The records in `documents`; those that the catalogue does not show yet are `pending`, those of whose change the
    registry of its DOI does not know yet are `untold`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        orders = (("pending", "changed_at"), ("untold", "changed_at"))
        documents.declare(COLLECTION, Fields(single=("pending", "untold", "changed_at"), orders=orders))

    def get(self, id: str, version: str) -> Record:
        """The record of a version, empty without one."""
        try:
            return self._documents.get(COLLECTION, key(id, version)).body
        except DocumentMissing:
            return {}

    def change(self, id: str, version: str, transition: Callable[[Record], bool | None]) -> Record:
        """Apply `transition` to the record, in place, by compare-and-set; False leaves it alone. Makes one if need be.

        It is pending until that is settled.
        """
        for _ in range(MAXIMUM_TRIES):
            try:
                stored = self._documents.get(COLLECTION, key(id, version))
            except DocumentMissing:
                stored = None
            body = copy.deepcopy(stored.body) if stored else {"id": id, "version": version}
            if transition(body) is False:
                return body
            body |= {"pending": True, "changed_at": time.time()}
            try:
                if stored is None:
                    return self._documents.create(COLLECTION, key(id, version), body).body
                return self._documents.replace(COLLECTION, key(id, version), body, stored.revision).body
            except (RevisionConflict, DocumentExists, DocumentMissing):
                continue
        raise RecordContended("This version is being changed by many at once.", "Try again in a moment.")

    def settle(self, record: Mapping[str, Any], name: str) -> None:
        """What was `pending` or `untold` of this record is done; if it was changed since, it stays so."""
        try:
            stored = self._documents.get(COLLECTION, key(record["id"], record["version"]))
            if {**stored.body, "pending": 0, "untold": 0} == {**record, "pending": 0, "untold": 0}:
                self._documents.replace(COLLECTION, stored.id, stored.body | {name: False}, stored.revision)
        except (DocumentMissing, RevisionConflict):
            return

    def left(self, name: str, older_than: float) -> list[Record]:
        """Records that are `pending` or `untold` and were changed longer ago than so many seconds: whoever did it was
        stopped."""
        query = Query(
            filters={name: [True]}, ranges={"changed_at": (None, time.time() - older_than)}, sort="changed_at",
            descending=False, size=100,
        )  # fmt: skip
        return [item.body for item in self._documents.search(COLLECTION, query).items]


def key(id: str, version: str) -> str:
    return f"{id}@{version}"


def laid_over(document: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """A version's document with its record laid over it; what the record has not stays as it is."""
    found = dict(document) | {name: record[name] for name in LAID_OVER if record.get(name)}
    edits = record.get("edits") or {}
    found |= {name: edits[name] for name in EDITED_TEXTS if name in edits}
    if "about" in edits:
        found["about"] = tidied(dict(found.get("about") or {}) | edits["about"])
    return found
