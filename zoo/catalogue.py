"""The published models: every version of every package, immutable once it is there, and the newest one to show.

Collection `model_versions` has a document `<id>@<version>` per version: its package's description, and what
`zoo.version_records` knows besides; `models` has one per model, as `zoo.shown_models` makes it. The packages are blobs.
"""

from __future__ import annotations

import json
import logging
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
    Scalar,
)
from zoo.errors import UserError
from zoo.hdf5_file import NotLookedAt
from zoo.identifiers import check_slug, check_version
from zoo.package_safety import check_contents
from zoo.packages import ModelPackage, PackageInvalid, file_sha256, from_document, read_package, to_document
from zoo.searched_fields import FACETS, OLD_FACETS, declare_searched
from zoo.settings import Settings
from zoo.shown_models import MODELS, VERSIONS, show, tombstone, version_order
from zoo.version_records import VersionRecords, key, laid_over

__all__ = [
    "FACETS", "MODELS", "OLD_FACETS", "Catalogue", "ModelMissing", "ModelWithdrawn", "VersionExists", "version_order",
]  # fmt: skip

RANGES = ("pixel_size_um",)
SORTS = (SCORE, "published_at", "usage.tried", "speed_s_per_mp", "name", "created")
SEED_FOLDER = Path(__file__).with_name("seed")

log = logging.getLogger("zooscope.catalogue")


class ModelMissing(UserError):
    code = "model-missing"
    status = 404


class ModelWithdrawn(ModelMissing):
    """`tombstone` tells what there was: id, name, at, reason, doi, versions."""

    code = "model-withdrawn"
    status = 410

    def __init__(self, tombstone: dict[str, Any]) -> None:
        what = f"{tombstone['name']} {', '.join(tombstone['versions'])}"
        super().__init__(f"{what} was withdrawn: {tombstone['reason']}", "The gallery lists the models there are.")
        self.tombstone = tombstone


class VersionExists(UserError):
    code = "version-exists"
    status = 409


class Catalogue:
    """The models in `documents` and their packages in `blobs`; shared by threads and processes as those are."""

    def __init__(self, documents: Documents, blobs: DiskBlobs, settings: Settings | None = None) -> None:
        self.documents = documents
        self.blobs = blobs
        self.settings = settings or Settings()
        self.records = VersionRecords(documents)
        declare_searched(documents)

    def publish(self, path: Path) -> dict[str, Any]:
        """Publish the package at `path` and return the document of its version. Its bytes again change nothing.

        Raises `ArchiveRefused` or `PackageInvalid` for a bad package, `BadIdentifier` for an id or version that is no
        name, `VersionExists` when other bytes are published under them, `ModelWithdrawn` for what was taken back,
        and `DiskFull`.
        """
        package = read_package(path, self.settings)
        check_contents(package)
        name = key(check_slug(package.id), check_version(package.version))
        try:
            document = self._same(self.documents.get(VERSIONS, name).body, package)
            if not self.blobs.exists(package.sha256):
                self._store(package)
        except DocumentMissing:
            document = self._add(name, package)
        show(self.documents, package.id, package.version)
        if document.get("withdrawn"):
            raise ModelWithdrawn(tombstone(self.documents, package.id, package.version) or {})
        return document

    def get(self, id: str, version: str | None = None) -> dict[str, Any]:
        """The document of a model, with `versions`, or of one of its versions; raises `ModelMissing`, and of those
        `ModelWithdrawn` for what was there."""
        document = self.get_any(id, version)
        if document.get("withdrawn"):
            raise ModelWithdrawn(tombstone(self.documents, id, version) or {})
        return document

    def get_any(self, id: str, version: str | None = None) -> dict[str, Any]:
        """As `get`, but also a version that was withdrawn, whose results stay."""
        try:
            if version is None:
                return self.documents.get(MODELS, id).body
            return self.documents.get(VERSIONS, key(id, version)).body
        except DocumentMissing:
            raise self._missing(id, version) from None

    def _missing(self, id: str, version: str | None) -> ModelMissing:
        try:
            model = self.documents.get(MODELS, id).body
        except DocumentMissing:
            buried = tombstone(self.documents, id)
            if buried is not None:
                return ModelWithdrawn(buried)
            return ModelMissing(f"There is no model {id[:100]!r}.", "The gallery lists those there are.")
        known = ", ".join(entry["version"] for entry in model["versions"])
        return ModelMissing(f"{model['name']} has no version {str(version)[:40]!r}.", f"It has {known}.")

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
        ranges: Mapping[str, tuple[float | None, float | None]] | None = None,
        facets: Sequence[str] = FACETS,
    ) -> Page:
        """Models that match, with the counts of `facets`; without words to rank by, they come by name."""
        if sort == SCORE and not text.strip():
            sort, descending = "name", False
        query = Query(
            text, filters or {}, facets, ranges or {}, sort=sort, descending=descending, page=page, size=page_size
        )
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
            except (UserError, NotLookedAt) as error:
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
        if self.blobs.exists(package.sha256) and package.path == self.blobs.path(package.sha256):
            return
        with package.path.open("rb") as stream:
            # The digest ties what is stored to what was checked, should the file change meanwhile.
            self.blobs.put(stream, limit=self.settings.package_bytes, expected_sha256=package.sha256)

    def _add(self, name: str, package: ModelPackage) -> dict[str, Any]:
        record = self.records.get(package.id, package.version)
        body = laid_over(to_document(package) | {"published_at": time.time()}, record)
        try:
            # Checked before the package is stored: YAML can say more than a document can hold, such as dates and NaN.
            values(json.loads(encode(name, body)))
        except DocumentInvalid as error:
            raise PackageInvalid(
                f"The package's description cannot be kept: {error.message}", "Write plain text and numbers in it."
            ) from error
        self._store(package)
        try:
            return self.documents.create(VERSIONS, name, body).body
        except DocumentExists:
            return self._same(self.documents.get(VERSIONS, name).body, package)

    def _is_published(self, sha256: str) -> bool:
        """Whether a package is there with all that belongs to it, found without opening it."""
        found = self.documents.search(VERSIONS, Query(filters={"package_sha256": [sha256]}, size=1)).items
        if not found or not self.blobs.exists(sha256):
            return False
        if found[0].body.get("withdrawn"):
            return True
        try:
            model = self.documents.get(MODELS, found[0].body["id"]).body
        except DocumentMissing:
            return False
        return any(entry["package_sha256"] == sha256 for entry in model["versions"])
