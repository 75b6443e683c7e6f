"""The document of a model, which people find: that of its newest version, with the list of all that are not withdrawn.

It is made from the versions' documents by compare-and-set, and again whenever one of them changes. A model whose
versions are all withdrawn leaves a tombstone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from zoo.documents import DocumentExists, DocumentMissing, Documents, RevisionConflict, Stored
from zoo.version_records import key

MODELS, VERSIONS, TOMBSTONES = "models", "model_versions", "tombstones"
# What belongs to the model rather than to one of its versions, and is kept when a newer one takes its place.
OF_THE_MODEL = ("usage", "owner")
LISTED = ("version", "package_sha256", "package_bytes", "created", "published_at")
LISTED_WHERE_KNOWN = ("doi",)


def show(documents: Documents, id: str, version: str) -> None:
    """Enter a version, as its document is now, into the document of its model; who loses a race for it reads again."""
    while True:
        document = documents.get(VERSIONS, key(id, version)).body
        try:
            stored = documents.get(MODELS, id)
        except DocumentMissing:
            stored = None
        body = _model(documents, stored, document)
        try:
            _write(documents, id, stored, body, document)
        except (RevisionConflict, DocumentExists, DocumentMissing):
            continue
        # Who changed the version meanwhile may have entered it before this did.
        if documents.get(VERSIONS, key(id, version)).body == document:
            return


def tombstone(documents: Documents, id: str, version: str | None = None) -> dict[str, Any] | None:
    """What is told of a withdrawn version, or of a model whose versions are all withdrawn: id, name, at, reason, doi,
    versions. None when there is no such thing."""
    try:
        if version is None:
            return documents.get(TOMBSTONES, id).body
        document = documents.get(VERSIONS, key(id, version)).body
    except DocumentMissing:
        return None
    return _tombstone(document, [version]) if document.get("withdrawn") else None


def version_order(version: str) -> tuple[Any, ...]:
    """Sorts versions as people count: 1.2 < 1.10, and 1.0-rc1 < 1.0."""
    release, _, suffix = version.partition("-")
    return (_counted(release), suffix == "", _counted(suffix))


def _counted(text: str) -> tuple[tuple[bool, int, str], ...]:
    parts = re.findall(r"\d+|[a-zA-Z]+", text)
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)


def _model(documents: Documents, stored: Stored | None, document: dict[str, Any]) -> dict[str, Any] | None:
    """The model's document with this version, or without it when it is withdrawn; None when none is left."""
    before = stored.body if stored else {"versions": []}
    entries = [entry for entry in before["versions"] if entry["version"] != document["version"]]
    if not document.get("withdrawn"):
        entries.append(_entry(document))
    if not entries:
        return None
    entries.sort(key=lambda entry: version_order(entry["version"]), reverse=True)
    newest = entries[0]["version"]
    if newest != document["version"]:
        document = before if newest == before.get("version") else _version(documents, document["id"], newest)
    kept = {name: before[name] for name in OF_THE_MODEL if name in before}
    return document | {"versions": entries} | kept


def _version(documents: Documents, id: str, version: str) -> dict[str, Any]:
    return documents.get(VERSIONS, key(id, version)).body


def _write(
    documents: Documents, id: str, stored: Stored | None, body: dict[str, Any] | None, document: dict[str, Any]
) -> None:
    if document.get("withdrawn"):
        _bury(documents, id, document)
    if body is None:
        if stored is not None:
            documents.delete(MODELS, id, stored.revision)
    elif stored is None:
        documents.create(MODELS, id, body)
    elif body != stored.body:
        documents.replace(MODELS, id, body, stored.revision)


def _bury(documents: Documents, id: str, document: dict[str, Any]) -> None:
    """Leave a tombstone that names every version withdrawn so far, and why the last of them was; it is shown once the
    model is gone. Raises RevisionConflict or DocumentExists."""
    try:
        stored = documents.get(TOMBSTONES, id)
    except DocumentMissing:
        documents.create(TOMBSTONES, id, _tombstone(document, [document["version"]]))
        return
    versions = sorted({*stored.body["versions"], document["version"]}, key=version_order, reverse=True)
    is_last = document["withdrawn"]["at"] >= stored.body["at"]
    body = _tombstone(document, versions) if is_last else stored.body | {"versions": versions}
    if body != stored.body:
        documents.replace(TOMBSTONES, id, body, stored.revision)


def _tombstone(document: Mapping[str, Any], versions: list[str]) -> dict[str, Any]:
    withdrawn = document["withdrawn"]
    return {
        "id": document["id"],
        "name": document["name"],
        "at": withdrawn["at"],
        "reason": withdrawn["reason"],
        "doi": document.get("concept_doi") or document.get("doi") or "",
        "versions": versions,
    }


def _entry(document: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: document[name] for name in LISTED_WHERE_KNOWN if document.get(name)}
    return {name: document[name] for name in LISTED} | known
