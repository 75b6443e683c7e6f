"""The published models: every version of every package, immutable once it is there, and the newest one to show.

Collection `model_versions` has a document `<id>@<version>` per version; `models` has one per model, which is that of
its newest version with the list of all of them. The packages themselves are blobs.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.blobs import DiskBlobs
from zoo.document_fields import DocumentInvalid, encode, values
from zoo.documents import (
    SCORE,
    DocumentExists,
    DocumentMissing,
    Documents,
    Page,
    Query,
    RevisionConflict,
    Scalar,
)
from zoo.errors import UserError
from zoo.identifiers import check_slug, check_version
from zoo.package_safety import check_contents
from zoo.packages import ModelPackage, PackageInvalid, file_sha256, from_document, read_package, to_document
from zoo.settings import Settings

MODELS, VERSIONS = "models", "model_versions"
FACETS = ("head.object", "head.kind", "tags", "licence")
SEED_FOLDER = Path(__file__).with_name("seed")

log = logging.getLogger("zooscope.catalogue")


class ModelMissing(UserError):
    code = "model-missing"
    status = 404


class VersionExists(UserError):
    code = "version-exists"
    status = 409


class Catalogue:
    """The models in `documents` and their packages in `blobs`; shared by threads and processes as those are."""

    def __init__(self, documents: Documents, blobs: DiskBlobs, settings: Settings | None = None) -> None:
        self.documents = documents
        self.blobs = blobs
        self.settings = settings or Settings()

    def publish(self, path: Path) -> dict[str, Any]:
        """Publish the package at `path` and return the document of its version. Its bytes again change nothing.

        Raises `ArchiveRefused` or `PackageInvalid` for a bad package, `BadIdentifier` for an id or version that is no
        name, `VersionExists` when other bytes are published under them, and `DiskFull`.
        """
        package = read_package(path, self.settings)
        check_contents(package)
        key = _key(check_slug(package.id), check_version(package.version))
        try:
            document = self._same(self.documents.get(VERSIONS, key).body, package)
            if not self.blobs.exists(package.sha256):
                self._store(package)
        except DocumentMissing:
            document = self._add(key, package)
        self._show(document)
        return document

    def get(self, id: str, version: str | None = None) -> dict[str, Any]:
        """The document of a model, with `versions`, or of one of its versions; raises `ModelMissing`."""
        try:
            model = self.documents.get(MODELS, id).body
        except DocumentMissing:
            raise ModelMissing(f"There is no model {id[:100]!r}.", "The gallery lists those there are.") from None
        if version is None:
            return model
        try:
            return self.documents.get(VERSIONS, _key(id, version)).body
        except DocumentMissing:
            known = ", ".join(entry["version"] for entry in model["versions"])
            raise ModelMissing(f"{model['name']} has no version {version[:40]!r}.", f"It has {known}.") from None

    def package_path(self, id: str, version: str | None = None) -> Path:
        """The zip of a version, by default the newest; raises `ModelMissing`, or `BlobMissing` when it was lost."""
        return self.blobs.path(self.get(id, version)["package_sha256"])

    def package(self, id: str, version: str | None = None) -> ModelPackage:
        """The package of a version, from its document: it was checked when it was published. Raises as above."""
        document = self.get(id, version)
        return from_document(document, self.blobs.path(document["package_sha256"]))

    def search(
        self,
        text: str = "",
        filters: Mapping[str, Sequence[Scalar]] | None = None,
        sort: str = SCORE,
        descending: bool = True,
        page: int = 1,
        page_size: int = 20,
    ) -> Page:
        """Models that match, with the counts of `FACETS`; without words to rank by, they come by name."""
        if sort == SCORE and not text.strip():
            sort, descending = "name", False
        query = Query(text, filters or {}, FACETS, sort=sort, descending=descending, page=page, size=page_size)
        return self.documents.search(MODELS, query)

    def fill_seeds(self, folder: Path | None = None) -> int:
        """Publish the packages in `folder`, by default those that come with Zooscope; returns how many were new.

        A package that cannot be published is named in the log and left out: it must not keep the service down.
        """
        published = 0
        for path in sorted((folder or SEED_FOLDER).glob("*.zip")):
            try:
                if not self._is_published(file_sha256(path)):
                    self.publish(path)
                    published += 1
            except UserError as error:
                log.error("The seed package %s was left out: %s %s", path.name, error.message, error.hint)
        return published

    def _same(self, document: dict[str, Any], package: ModelPackage) -> dict[str, Any]:
        if document["package_sha256"] != package.sha256:
            raise VersionExists(
                f"Version {package.version} of {package.id} is published already, with other contents.",
                "A published version never changes: give the package a new version.",
            )
        return document

    def _store(self, package: ModelPackage) -> None:
        with package.path.open("rb") as stream:
            # The digest ties what is stored to what was checked, should the file change meanwhile.
            self.blobs.put(stream, limit=self.settings.package_bytes, expected_sha256=package.sha256)

    def _add(self, key: str, package: ModelPackage) -> dict[str, Any]:
        body = to_document(package) | {"published_at": time.time()}
        try:
            # Checked before the package is stored: YAML can say more than a document can hold, such as dates and NaN.
            values(json.loads(encode(key, body)))
        except DocumentInvalid as error:
            raise PackageInvalid(
                f"The package's description cannot be kept: {error.message}", "Write plain text and numbers in it."
            ) from error
        self._store(package)
        try:
            return self.documents.create(VERSIONS, key, body).body
        except DocumentExists:
            return self._same(self.documents.get(VERSIONS, key).body, package)

    def _show(self, document: dict[str, Any]) -> None:
        """Enter a version into the document of its model; whoever loses a race for it reads again."""
        id = document["id"]
        while True:
            try:
                stored = self.documents.get(MODELS, id)
                body = self._with_version(stored.body, document)
                if body != stored.body:
                    self.documents.replace(MODELS, id, body, stored.revision)
                return
            except DocumentMissing:
                try:
                    self.documents.create(MODELS, id, document | {"versions": [_entry(document)]})
                    return
                except DocumentExists:
                    continue
            except RevisionConflict:
                continue

    def _with_version(self, model: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        others = [entry for entry in model["versions"] if entry["version"] != document["version"]]
        versions = sorted([*others, _entry(document)], key=lambda entry: version_order(entry["version"]), reverse=True)
        newest = document if versions[0]["version"] == document["version"] else model
        return newest | {"versions": versions}

    def _is_published(self, sha256: str) -> bool:
        """Whether a package is there with all that belongs to it, found without opening it."""
        found = self.documents.search(VERSIONS, Query(filters={"package_sha256": [sha256]}, size=1)).items
        if not found or not self.blobs.exists(sha256):
            return False
        try:
            model = self.documents.get(MODELS, found[0].body["id"]).body
        except DocumentMissing:
            return False
        return any(entry["package_sha256"] == sha256 for entry in model["versions"])


def version_order(version: str) -> tuple[Any, ...]:
    """Sorts versions as people count: 1.2 < 1.10, and 1.0-rc1 < 1.0."""
    release, _, suffix = version.partition("-")
    return (_counted(release), suffix == "", _counted(suffix))


def _counted(text: str) -> tuple[tuple[bool, int, str], ...]:
    parts = re.findall(r"\d+|[a-zA-Z]+", text)
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)


def _key(id: str, version: str) -> str:
    return f"{id}@{version}"


def _entry(document: Mapping[str, Any]) -> dict[str, Any]:
    names = ("version", "package_sha256", "package_bytes", "created", "published_at")
    return {name: document[name] for name in names}
