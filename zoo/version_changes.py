"""Changes of what is published: edited texts, DOIs, withdrawal. First the record, then what people find.

Whoever is stopped between the two leaves a pending record, which `resume` shows; nothing is ever deleted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from zoo.catalogue import Catalogue
from zoo.documents import DocumentMissing, RevisionConflict
from zoo.errors import UserError
from zoo.shown_models import VERSIONS, show, tombstone
from zoo.text_edits import check_edits
from zoo.version_records import Record, VersionRecords, key, laid_over

LONGEST_REASON = 1000
# A record that is pending for so long was left so by somebody who was stopped.
LEFT_SECONDS = 30.0


class BadReason(UserError):
    code = "bad-reason"


class VersionChanges:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
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
        self._catalogue.get(id, version)

        def enter(record: Record) -> None:
            before = record.get("edits") or {}
            about = {"about": before.get("about", {}) | checked["about"]} if "about" in checked else {}
            record |= {"edits": before | checked | about, "edited_at": time.time(), "edited_by": by}

        self._records.change(id, version, enter)
        self.show(id, version)
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
            return None

        self._records.change(id, version, enter)
        self.show(id, version)
        return tombstone(self._catalogue.documents, id, version) or {}

    def resume(self, older_than: float = LEFT_SECONDS) -> int:
        """Show what was changed by somebody who was stopped meanwhile; returns how many versions."""
        left = self._records.pending(older_than)
        for record in left:
            self.show(record["id"], record["version"])
        return len(left)

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
                self._records.shown(record)
                return
