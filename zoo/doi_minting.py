"""DOIs of models and of their versions, minted step by step so that a crash between any two leaves no second DOI.

What is to be done is written down before the registry is told; the registry's calls can be repeated; what it answered
is written down afterwards. Whoever finds a document that is `pending` can therefore go on with it: `resume` does.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.blobs import DiskBlobs
from zoo.catalogue import version_order
from zoo.citation import landing_url
from zoo.documents import MAXIMUM_PAGE_SIZE, DocumentMissing, Documents, Query, RevisionConflict, Stored
from zoo.doi_documents import (
    COLLECTION,
    DISCARDING,
    FINDABLE,
    PUBLISHING,
    RESERVED,
    RESERVING,
    UPDATING,
    WITHDRAWING,
    WITHDRAWN,
    Body,
    DoiDocuments,
)
from zoo.doi_metadata import snapshot
from zoo.doi_registry import DoiRecord, DoiRegistry, DoiTaken, RegistryDown
from zoo.errors import ZooscopeError

MAXIMUM_TRIES = 50
# So often it is tried whenever somebody asks; from then on no sooner than it is time.
FREE_TRIES = 3

log = logging.getLogger(__name__)


class Minting:
    """Thread-safe, and shared by processes as `documents` is. With a registry that mints nothing, every call is `{}`.

    `blobs` has the packages by their sha256, for registries that keep files: without it `resume` leaves those alone.
    """

    def __init__(
        self,
        documents: Documents,
        registry: DoiRegistry,
        public_url: str = "",
        blobs: DiskBlobs | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.documents = documents
        self.registry = registry
        self.public_url = public_url
        self.blobs = blobs
        self.clock = clock
        self.kept = DoiDocuments(documents, registry, clock)
        self._steps = {
            RESERVING: self._reserve, PUBLISHING: self._publish, UPDATING: self._update, WITHDRAWING: self._withdraw,
        }  # fmt: skip

    def reserve(self, model_id: str, version: str) -> dict[str, str]:
        """The DOIs of a version, kept as drafts that do not resolve yet: `doi` and `concept_doi`.

        Raises `DoiBusy`, `RegistryDown` or `RegistryRefused`; what was begun is gone on with by `resume`.
        """
        if not self.registry.mints:
            return {}
        # A draft that was just being discarded is gone when that is settled: the next one is a new one.
        while not (settled := self._settle(self.kept.begin(model_id, version))):
            continue
        return _told(settled)

    def publish(self, document: Mapping[str, Any], package: Path) -> dict[str, str]:
        """Have the DOIs of a published version resolve to its page; reserved first if they were not."""
        if not self.registry.mints:
            return {}
        key = self.kept.begin(document["id"], document["version"])
        if self.kept.get(document["id"], document["version"]).get("state") != PUBLISHING:
            self.reserve(document["id"], document["version"])
        # What was refused may have been put right since.
        self.kept.turn(key, {RESERVED: PUBLISHING, PUBLISHING: PUBLISHING}, document=snapshot(document))
        return _told(self._settle(key, package))

    def update(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Tell the registry of edited texts; a version without a DOI of this registry is left alone."""
        turns = {FINDABLE: UPDATING, UPDATING: UPDATING, PUBLISHING: PUBLISHING}
        key = self.kept.key(document["id"], document["version"])
        self.kept.turn(key, turns, document=snapshot(document))
        return _told(self._settle(key))

    def withdraw(self, model_id: str, version: str, reason: str = "") -> dict[str, str]:
        """Take a version out of the registry's search: its DOI resolves to its tombstone. A draft is deleted."""
        key = self.kept.key(model_id, version)
        if self.kept.get(model_id, version).get("state") != UPDATING:
            self._settle(key)
        turns = {FINDABLE: WITHDRAWING, UPDATING: WITHDRAWING, RESERVED: DISCARDING}
        self.kept.turn(key, turns, reason=reason)
        return _told(self._settle(key))

    def discard(self, model_id: str, version: str) -> None:
        """Delete the draft of a version that will not be published; what was published is left alone."""
        key = self.kept.key(model_id, version)
        self.kept.turn(key, {RESERVED: DISCARDING, RESERVING: DISCARDING})
        if self.kept.get(model_id, version).get("state") == DISCARDING:
            self._settle(key)

    def state(self, model_id: str, version: str) -> Body:
        """The document of a version's DOI as it is now, with `problem` when the registry refused; empty without one."""
        return self.kept.get(model_id, version)

    def resume(self, at_once: bool = False) -> int:
        """Go on with everything that was begun and is due, or `at_once`; returns how many were finished.

        What the registry says is in the log and in their documents, not raised.
        """
        if not self.registry.mints:
            return 0
        query = Query(filters={"pending": [True]}, sort="changed_at", descending=False, size=MAXIMUM_PAGE_SIZE)
        finished = 0
        for item in self.documents.search(COLLECTION, query).items:
            if item.body["registry"] != self.registry.name:
                continue
            if at_once:
                self.kept.ask_now(item.id)
            elif item.body["not_before"] > self.clock():
                continue
            try:
                self._settle(item.id)
                finished += 1
            except ZooscopeError as error:
                log.warning("the DOI of %s waits: %s", item.id, error.message)
        return finished

    def _settle(self, key: str, package: Path | None = None) -> Body:
        """Do what is to be done with a version until nothing is; returns its document, empty when it is gone."""
        for _ in range(MAXIMUM_TRIES):
            try:
                stored = self.documents.get(COLLECTION, key)
            except DocumentMissing:
                return {}
            if not stored.body["pending"]:
                return stored.body
            self._check_turn(stored.body)
            try:
                if stored.body["state"] == DISCARDING:
                    self._discard(stored)
                    continue
                changes = self._steps[stored.body["state"]](stored.body, package)
            except DoiTaken as taken:
                self.kept.rename(stored.body, taken.doi)
                continue
            except ZooscopeError as error:
                self.kept.note(key, error)
                raise
            settled = {"pending": False, "problem": "", "attempts": 0, "not_before": 0.0, "changed_at": self.clock()}
            try:
                self.documents.replace(COLLECTION, key, stored.body | changes | settled, stored.revision)
            except (RevisionConflict, DocumentMissing):
                self._give_up_second(stored.body, changes)
        raise RegistryDown(f"The DOI of {key} is changed by others without pause.", "It is tried again later.")

    def _check_turn(self, body: Body) -> None:
        """Raise `RegistryDown` while it is too early to ask: only the first tries are free."""
        wait = math.ceil(body["not_before"] - self.clock())
        if wait > 0 and body["attempts"] >= FREE_TRIES:
            message = body["problem"] or f"{self.registry.name.capitalize()} could not be asked for the DOI."
            raise RegistryDown(message, f"It is tried again in {wait} s.", wait)

    def _reserve(self, body: Body, package: Path | None) -> Body:
        if self.registry.one_draft:
            self.kept.take_draft(body)
        record = self._record(body)
        reserved = self.registry.reserve(record)
        self.kept.change(
            self.kept.key(body["model_id"]),
            lambda concept: None if concept["doi"] else concept | {"doi": reserved.concept_doi},
        )
        return {
            "state": RESERVED, "doi": reserved.doi, "concept_doi": reserved.concept_doi,
            "remote": dict(reserved.remote),
        }  # fmt: skip

    def _publish(self, body: Body, package: Path | None) -> Body:
        if package is None:
            if self.blobs is None:
                raise RegistryDown("The package is not at hand.", "Publish the version again.")
            package = self.blobs.path(body["document"]["package_sha256"])
        self.registry.publish(self._record(body), package)
        self.kept.enter_version(body, withdrawn=False)
        self._show_concept(body)
        return {"state": FINDABLE}

    def _update(self, body: Body, package: Path | None) -> Body:
        self.registry.update(self._record(body))
        self._show_concept(body)
        return {"state": FINDABLE}

    def _withdraw(self, body: Body, package: Path | None) -> Body:
        self.registry.withdraw(self._record(body))
        self.kept.enter_version(body, withdrawn=True)
        self._show_concept(body)
        return {"state": WITHDRAWN}

    def _discard(self, stored: Stored) -> None:
        record = self._record(stored.body)
        if self.registry.one_draft and not record.remote and self.kept.has_draft(stored.body):
            # Stopped before it was written down: it is found again as it is when it is reserved.
            record = replace(record, remote=self.registry.reserve(record).remote)
        if record.remote or record.doi:
            self.registry.discard(record)
        self.kept.release_draft(stored.body)
        try:
            self.documents.delete(COLLECTION, stored.id, stored.revision)
        except (RevisionConflict, DocumentMissing):
            return

    def _show_concept(self, body: Body) -> None:
        """Have the model's DOI tell of its newest version; again, when another version came in between."""
        key = self.kept.key(body["model_id"])
        for _ in range(MAXIMUM_TRIES):
            stored = self.documents.get(COLLECTION, key)
            self.registry.show_concept(self._record(body, stored.body))
            if self.documents.get(COLLECTION, key).revision == stored.revision:
                return

    def _record(self, body: Body, concept: Body | None = None) -> DoiRecord:
        """What the registry is told of a version: from its document and that of its model."""
        concept = concept or self.documents.get(COLLECTION, self.kept.key(body["model_id"])).body
        public = [entry for entry in concept["versions"] if not entry["withdrawn"]]
        public.sort(key=lambda entry: version_order(entry["version"]), reverse=True)
        newest: Mapping[str, Any] = {}
        if public:
            is_this = public[0]["version"] == body["version"]
            newest = (body if is_this else self.state(body["model_id"], public[0]["version"]))["document"]
        return DoiRecord(
            model_id=body["model_id"],
            version=body["version"],
            url=landing_url(self.public_url, body["model_id"], body["version"]),
            concept_url=landing_url(self.public_url, body["model_id"]),
            doi=body["doi"],
            concept_doi=body["concept_doi"] or concept["doi"],
            document=body["document"],
            remote=body["remote"],
            latest=concept["versions"][-1]["remote"] if concept["versions"] else {},
            public=tuple(entry["doi"] for entry in public),
            newest=newest,
            reason=body["reason"],
        )

    def _give_up_second(self, body: Body, changes: Body) -> None:
        """Of two who reserved at once, the one who came second deletes its draft."""
        if body["state"] != RESERVING or not changes["remote"]:
            return
        kept = self.kept.get(body["model_id"], body["version"])
        if kept.get("remote") and kept["remote"] != changes["remote"]:
            self.registry.discard(self._record(body | changes))


def _told(body: Body) -> dict[str, str]:
    return {name: body[name] for name in ("doi", "concept_doi")} if body.get("doi") else {}
