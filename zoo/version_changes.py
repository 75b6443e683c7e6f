"""Changes of what is published: edited texts, DOIs, withdrawal. First the record, then what people find.

Then the registry of its DOI is told. Whoever is stopped in between leaves a record that says so, with which `resume`
goes on; nothing is ever deleted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from zoo.catalogue import Catalogue
from zoo.documents import DocumentMissing, RevisionConflict
from zoo.errors import UserError, ZooscopeError
from zoo.shown_models import VERSIONS, show, tombstone
from zoo.text_edits import check_edits
from zoo.version_records import Record, VersionRecords, key, laid_over

LONGEST_REASON = 1000
# A record that is pending for so long was left so by somebody who was stopped.
LEFT_SECONDS = 30.0

log = logging.getLogger("zooscope.versions")


class BadReason(UserError):
    code = "bad-reason"


class Registry(Protocol):
    """What `zoo.doi_minting.Minting` does here."""

    def update(self, document: Mapping[str, Any]) -> Any: ...

    def withdraw(self, model_id: str, version: str, reason: str = "") -> Any: ...


class VersionChanges:
    def __init__(self, catalogue: Catalogue, registry: Registry | None = None) -> None:
        self._catalogue = catalogue
        self._registry = registry
        self._records: VersionRecords = catalogue.records

    def annotate(self, id: str, version: str, **known: Any) -> None:
        """Enter what is known besides the package, such as `owner`, `check`, `doi`; also before it is published."""

        def enter(record: Record) -> bool | None:
            if all(record.get(name) == value for name, value in known.items()):
                return False
            record |= known
            return None

        self._records.change(id, version, enter)
        self.show(id, version)

    def edit(self, id: str, version: str, edits: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Change texts of a version, whose files and DOI stay; returns its document.

        Raises `BadEdit`, `ModelMissing` and `ModelWithdrawn`.
        """
        checked = check_edits(edits)
        document = self._catalogue.get(id, version)

        def enter(record: Record) -> None:
            before = record.get("edits") or {}
            about = {"about": before.get("about", {}) | checked["about"]} if "about" in checked else {}
            record |= {"edits": before | checked | about, "edited_at": time.time(), "edited_by": by}
            record["untold"] = bool(record.get("doi"))
            record.setdefault("published_at", document["published_at"])

        self._records.change(id, version, enter)
        self.show(id, version)
        self.tell(id, version)
        return self._catalogue.get(id, version)

    def withdraw(self, id: str, version: str, reason: str, by: str) -> dict[str, Any]:
        """Take a version back; returns its tombstone. Again changes nothing. Raises `BadReason`, `ModelMissing`."""
        reason = " ".join(reason.split())
        if not reason or len(reason) > LONGEST_REASON:
            raise BadReason(
                "A withdrawal needs a reason.",
                f"Say in at most {LONGEST_REASON} characters why; everybody will read it.",
            )
        document = self._catalogue.get_any(id, version)

        def enter(record: Record) -> bool | None:
            if record.get("withdrawn"):
                return False
            record["withdrawn"] = {"at": time.time(), "reason": reason, "by": by}
            # Kept with it, should the documents ever be made anew.
            record.setdefault("published_at", document["published_at"])
            record["untold"] = bool(record.get("doi"))
            return None

        self._records.change(id, version, enter)
        self.show(id, version)
        self.tell(id, version)
        return tombstone(self._catalogue.documents, id, version) or {}

    def resume(self, older_than: float = LEFT_SECONDS) -> int:
        """Go on with what was changed by somebody who was stopped meanwhile; returns how many versions."""
        hidden, untold = (self._records.left(name, older_than) for name in ("pending", "untold"))
        for record in hidden:
            self.show(record["id"], record["version"])
        for record in untold:
            self.tell(record["id"], record["version"])
        return len(hidden) + len(untold)

    def tell(self, id: str, version: str) -> None:
        """Tell the registry of the version's DOI what was changed; if it is away, it is told later."""
        record = self._records.get(id, version)
        if self._registry is None or not record.get("untold"):
            return
        try:
            self._registry.update(self._catalogue.get_any(id, version))
            if record.get("withdrawn"):
                self._registry.withdraw(id, version, record["withdrawn"]["reason"])
        except ZooscopeError as error:
            log.warning("the registry is told of the change of %s %s later: %s", id, version, error.message)
            return
        self._records.settle(record, "untold")

    def show(self, id: str, version: str) -> None:
        """Lay the record, as it is by now, over the version's document, and that into the model's."""
        documents = self._catalogue.documents
        while True:
            record = self._records.get(id, version)
            try:
                stored = documents.get(VERSIONS, key(id, version))
                body = laid_over(stored.body, record)
                if body != stored.body:
                    documents.replace(VERSIONS, stored.id, body, stored.revision)
            except RevisionConflict:
                continue
            except DocumentMissing:
                # Not published yet, or its document was lost: it will be made with the record laid over it.
                return
            show(documents, id, version)
            if self._records.get(id, version) == record:
                self._records.settle(record, "pending")
                return
