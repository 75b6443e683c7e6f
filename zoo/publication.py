"""From an accepted submission to a published model with its DOI: steps that are each safe to do again.

DOI reserved → in the catalogue, where it is found from then on → DOI findable → submission published. A crash between
any two, or a registry that is away, leaves the submission accepted; `resume` goes on with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from zoo.catalogue import Catalogue
from zoo.documents import MAXIMUM_PAGE_SIZE
from zoo.errors import Unavailable, UserError, ZooscopeError
from zoo.model_owners import ModelOwners
from zoo.submissions import ACCEPTED, PUBLISHED, RETURNED, Body, Submissions, note
from zoo.version_changes import VersionChanges

log = logging.getLogger("zooscope.publication")

# Who says what no person said.
SERVICE = "Zooscope"


class Minter(Protocol):
    """What `zoo.doi_minting.Minting` does here; every call may be made again after a crash."""

    def reserve(self, model_id: str, version: str) -> Any: ...

    def publish(self, version_document: Mapping[str, Any], package_path: Path) -> Mapping[str, Any]: ...

    def discard(self, model_id: str, version: str) -> Any: ...


class Publication:
    def __init__(
        self,
        submissions: Submissions,
        catalogue: Catalogue,
        owners: ModelOwners,
        changes: VersionChanges,
        minting: Minter | None = None,
    ) -> None:
        self._submissions = submissions
        self._catalogue = catalogue
        self._owners = owners
        self._changes = changes
        self._minting = minting

    def go_on(self, id: str) -> Body:
        """Take an accepted submission as far as it goes; returns it. What has no remedy returns it to its author."""
        body = self._submissions.get(id)
        if body["state"] != ACCEPTED:
            return body
        try:
            return self._steps(body)
        except Unavailable as error:
            return self._put_off(id, error)
        except ZooscopeError as error:
            log.error("submission %s cannot be published yet: %s", id, error)
            return self._put_off(id, error)

    def resume(self) -> int:
        """Go on with every accepted submission; returns how many are published now."""
        published = 0
        for item in self._submissions.in_state([ACCEPTED], size=MAXIMUM_PAGE_SIZE).items:
            try:
                published += self.go_on(item.id)["state"] == PUBLISHED
            except UserError:
                continue
        return published

    def _steps(self, body: Body) -> Body:
        id, version = body["model_id"], body["version"]
        path = self._catalogue.blobs.path(body["package_sha256"])
        if self._minting is not None:
            self._minting.reserve(id, version)
        owner = self._owners.claim(id, body["owner"], body["by_admin"])
        try:
            document = self._catalogue.publish(path)
        except Unavailable:
            raise
        except UserError as error:
            self._release(id, version)
            return self._return(body["id"], error)
        known = {"owner": owner, "check": (body["check"] or {}).get("report"), "submission": body["id"]}
        known["published_at"] = document["published_at"]
        self._changes.annotate(id, version, **{name: value for name, value in known.items() if value})
        dois: Mapping[str, Any] = {}
        if self._minting is not None:
            dois = self._minting.publish(self._catalogue.get(id, version), path) or {}
        minted = {name: str(dois[name]) for name in ("doi", "concept_doi") if dois.get(name)}
        if minted:
            self._changes.annotate(id, version, **minted)
        return self._finish(body["id"], minted.get("doi", ""))

    def _release(self, id: str, version: str) -> None:
        """Give back the DOI that was reserved for what will not be published; if the registry is away, it is later."""
        if self._minting is None:
            return
        try:
            self._minting.discard(id, version)
        except ZooscopeError as error:
            log.warning("the DOI reserved for %s %s is given back later: %s", id, version, error.message)

    def _finish(self, id: str, doi: str) -> Body:
        def finish(body: Body) -> bool | None:
            if body["state"] != ACCEPTED:
                return False
            body |= {"state": PUBLISHED, "doi": doi, "publication": None}
            note(body, "published", SERVICE)
            return None

        return self._submissions.change(id, finish)

    def _put_off(self, id: str, error: ZooscopeError) -> Body:
        """What could not be done now is done another time; its page says why."""

        def say(body: Body) -> bool | None:
            before = body["publication"] or {}
            if body["state"] != ACCEPTED or before.get("message") == error.message:
                return False
            body["publication"] = {"at": time.time(), "message": error.message, "hint": error.hint}
            return None

        return self._submissions.change(id, say)

    def _return(self, id: str, error: UserError) -> Body:
        def give_back(body: Body) -> bool | None:
            if body["state"] != ACCEPTED:
                return False
            body["state"] = RETURNED
            text = f"It could not be published: {error.message} {error.hint}".rstrip()
            body["comments"].append(
                {"at": time.time(), "author": "", "author_name": SERVICE, "kind": "note", "text": text}
            )
            note(body, "returned", SERVICE)
            return None

        return self._submissions.change(id, give_back)
