"""What is kept of DOIs: a document per model and per version in the collection `dois`, and how they may change.

A model's document: {registry, kind: concept, model_id, doi, draft, versions: [{version, doi, remote, withdrawn}]}, the
versions in the order in which they were published; `draft` is the version reserved where there can be one only.
A version's: {registry, kind: version, model_id, version, doi, concept_doi, state, pending, document, remote, reason,
problem, attempts, not_before}. A version goes reserving → reserved → publishing → findable (→ updating → findable)* →
withdrawing → withdrawn; a reserved one may be discarded, which leaves nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from zoo.documents import DocumentExists, DocumentMissing, Documents, Fields, RevisionConflict
from zoo.doi_registry import DoiBusy, DoiRegistry, RegistryRefused
from zoo.errors import ZooscopeError

COLLECTION = "dois"
SEARCHED = Fields(
    single=("registry", "kind", "state", "pending", "model_id", "changed_at"), orders=(("pending", "changed_at"),)
)
RESERVING, RESERVED, DISCARDING = "reserving", "reserved", "discarding"
PUBLISHING, FINDABLE, UPDATING = "publishing", "findable", "updating"
WITHDRAWING, WITHDRAWN = "withdrawing", "withdrawn"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 15.0, 900.0

Body = dict[str, Any]


class DoiDocuments:
    """The documents of one registry's DOIs; thread-safe, and shared by processes as `documents` is."""

    def __init__(self, documents: Documents, registry: DoiRegistry, clock: Callable[[], float]) -> None:
        self.documents = documents
        self.registry = registry
        self.clock = clock
        documents.declare(COLLECTION, SEARCHED)

    def get(self, model_id: str, version: str | None = None) -> Body:
        """The document of a version's DOI, or of a model's; empty without one."""
        try:
            return self.documents.get(COLLECTION, self.key(model_id, version)).body
        except DocumentMissing:
            return {}

    def key(self, model_id: str, version: str | None = None) -> str:
        return f"{self.registry.name}:{model_id}" + ("" if version is None else f"@{version}")

    def begin(self, model_id: str, version: str) -> str:
        """Have documents of the model and of the version; returns the key of the latter."""
        shared = {"registry": self.registry.name, "model_id": model_id, "changed_at": self.clock()}
        concept = {"kind": "concept", "state": "", "pending": False, "draft": "", "versions": []}
        entry = {
            "kind": "version", "version": version, "state": RESERVING, "pending": True, "document": {}, "remote": {},
            "concept_doi": "", "reason": "", "problem": "", "attempts": 0, "not_before": 0.0,
        }  # fmt: skip
        for each, body in ((None, concept), (version, entry)):
            if not self.get(model_id, each):
                with contextlib.suppress(DocumentExists):
                    named = shared | body | {"doi": self.registry.new_name()}
                    self.documents.create(COLLECTION, self.key(model_id, each), named)
        return self.key(model_id, version)

    def turn(self, key: str, turns: Mapping[str, str], **changes: Any) -> None:
        """Write down what is to be done next, if the document is in one of the states that lead there."""

        def turn(body: Body) -> Body | None:
            if body["state"] not in turns:
                return None
            turned = body | changes | {"state": turns[body["state"]], "pending": True, "not_before": 0.0}
            return None if turned == body else turned

        self.change(key, turn)

    def take_draft(self, body: Body) -> None:
        """Be the one version of the model that has a draft. Raises `DoiBusy`."""

        def take(concept: Body) -> Body | None:
            if concept["draft"] not in ("", body["version"]):
                raise DoiBusy(
                    f"Version {concept['draft']} of {body['model_id']} has a DOI reserved, and waits to be published.",
                    f"{self.registry.name.capitalize()} takes one at a time: publish or discard that first.",
                )
            return None if concept["draft"] else concept | {"draft": body["version"]}

        self.change(self.key(body["model_id"]), take)

    def has_draft(self, body: Body) -> bool:
        """Whether this version is the one of its model that has a draft."""
        return bool(self.get(body["model_id"]).get("draft") == body["version"])

    def enter_version(self, body: Body, withdrawn: bool) -> None:
        """Enter a version into the document of its model, in the order in which they were published."""
        entry = {"version": body["version"], "doi": body["doi"], "remote": body["remote"], "withdrawn": withdrawn}

        def enter(concept: Body) -> Body | None:
            known = [each["version"] for each in concept["versions"]]
            versions = [entry if each["version"] == entry["version"] else each for each in concept["versions"]]
            versions += [] if entry["version"] in known else [entry]
            draft = "" if concept["draft"] == body["version"] else concept["draft"]
            changed = concept | {"versions": versions, "draft": draft}
            return None if changed == concept else changed

        self.change(self.key(body["model_id"]), enter)

    def release_draft(self, body: Body) -> None:
        """A draft was discarded: the next version may have one."""

        def release(concept: Body) -> Body | None:
            if concept["draft"] != body["version"]:
                return None
            # Where the registry names the concept itself, it is gone with its only version.
            return concept | {"draft": "", "doi": concept["doi"] if concept["versions"] else ""}

        self.change(self.key(body["model_id"]), release)

    def rename(self, body: Body, doi: str) -> None:
        """Make up another name in place of one that someone else has; harmless when that happened already."""
        for id in (self.key(body["model_id"]), self.key(body["model_id"], body["version"])):
            self.change(id, lambda each: each | {"doi": self.registry.new_name()} if each["doi"] == doi else None)

    def note(self, key: str, error: ZooscopeError) -> None:
        """Write down why it did not go on, and when it is to be tried again."""

        def note(body: Body) -> Body | None:
            if not body["pending"]:
                return None
            pause = min(FIRST_PAUSE_SECONDS * 2 ** body["attempts"], LONGEST_PAUSE_SECONDS)
            pause = max(pause, error.retry_after_seconds or 0)
            refused = error.message if isinstance(error, RegistryRefused | DoiBusy) else ""
            return body | {
                "problem": refused, "attempts": body["attempts"] + 1, "not_before": self.clock() + pause,
            }  # fmt: skip

        self.change(key, note)

    def ask_now(self, key: str) -> None:
        """Have it tried again without waiting until it is time."""
        self.change(key, lambda body: body | {"not_before": 0.0} if body["not_before"] else None)

    def change(self, id: str, change: Callable[[Body], Body | None]) -> None:
        """Replace a document by what `change` makes of it, or leave it when that is None."""
        while True:
            try:
                stored = self.documents.get(COLLECTION, id)
                body = change(stored.body)
                if body is not None:
                    self.documents.replace(COLLECTION, id, body | {"changed_at": self.clock()}, stored.revision)
                return
            except RevisionConflict:
                continue
            except DocumentMissing:
                return
