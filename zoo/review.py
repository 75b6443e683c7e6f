"""From a draft to an accepted model: what its author and the reviewers do, and what each step needs."""

from __future__ import annotations

import time
import unicodedata
from dataclasses import dataclass
from typing import Any

from zoo.catalogue import Catalogue, ModelMissing, ModelWithdrawn, VersionExists
from zoo.documents import Query
from zoo.errors import UserError
from zoo.identifiers import check_slug, check_version
from zoo.model_owners import ModelOwners, ModelTaken
from zoo.packages import read_package
from zoo.submissions import (
    ACCEPTED,
    CHECKING,
    COLLECTION,
    DISCARDED,
    MAXIMUM_COMMENT,
    MAXIMUM_COMMENTS,
    OPEN_STATES,
    RETURNED,
    SUBMITTED,
    BadSubmission,
    Body,
    NotReady,
    Submissions,
    must_be,
    note,
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Who does something: an account's id, the name to show, and whether it is an admin."""

    id: str
    name: str
    admin: bool = False


class Review:
    def __init__(self, submissions: Submissions, catalogue: Catalogue, owners: ModelOwners) -> None:
        self._submissions = submissions
        self._catalogue = catalogue
        self._owners = owners

    def check_name(self, id: str, version: str, owner: str, admin: bool = False, submission: str = "") -> None:
        """Raise unless the account may publish this version: `BadIdentifier`, `ModelTaken`, `VersionExists`.

        A model that somebody else has under review is taken; the binding claim is made when one is accepted.
        """
        self._owners.check(check_slug(id), owner, admin)
        self._check_version(id, version)
        under_review = Query(filters={"model_id": [id], "state": [SUBMITTED, ACCEPTED]}, size=20)
        for item in self._catalogue.documents.search(COLLECTION, under_review).items:
            if item.id != submission and item.body["owner"] != owner and not admin:
                raise ModelTaken(id)
            if item.id != submission and item.body["version"] == version:
                raise VersionExists(
                    f"Version {version} of {id} is under review already.", "Give this one a new version."
                )

    def conflict(self, body: Body) -> dict[str, str] | None:
        """What stands against the id or version that a draft has so far: the field, the sentence and the hint."""
        id, version = body["model_id"], body["version"]
        if not id or body["state"] not in OPEN_STATES:
            return None
        try:
            self.check_name(id, version or "1", body["owner"], body["by_admin"], body["id"])
        except UserError as error:
            field = "version" if isinstance(error, VersionExists) and version else "id"
            if isinstance(error, VersionExists) and not version:
                return None
            return {"field": field, "message": error.message, "hint": error.hint}
        return None

    def submit(self, id: str, person: Person) -> Body:
        """Hand a checked draft to the reviewers; raises `NotReady`, `WrongState` and what `check_name` raises."""
        draft = self._submissions.get(id)
        _check_ready(draft)
        # The package itself tells what it is, whatever was typed.
        settings, path = self._catalogue.settings, self._catalogue.blobs.path(draft["package_sha256"])
        package = read_package(path, settings)
        self.check_name(package.id, package.version, draft["owner"], person.admin, id)

        def hand_in(body: Body) -> None:
            must_be(body, OPEN_STATES, "submitted")
            _check_ready(body)
            if body["package_sha256"] != draft["package_sha256"]:
                raise NotReady("The package was changed while it was submitted.", "Look at it again, and submit it.")
            body |= {"state": SUBMITTED, "submitted_at": time.time(), "by_admin": person.admin}
            body |= {"model_id": package.id, "version": package.version, "title": package.name}
            note(body, "submitted", person.id)

        return self._submissions.change(id, hand_in)

    def give_back(self, id: str, person: Person, text: str) -> Body:
        """Return a submission to its author with what is to be changed; raises `BadSubmission`, `WrongState`."""
        sentence = _comment(text)

        def give(body: Body) -> None:
            must_be(body, (SUBMITTED,), "returned")
            body["state"] = RETURNED
            _say(body, person, "return", sentence)
            note(body, "returned", person.id)

        return self._submissions.change(id, give)

    def accept(self, id: str, person: Person, text: str = "") -> Body:
        """Accept a submission: its id is claimed for its author, of several at once for one of them.

        Raises `WrongState`, `ModelTaken`, `VersionExists`.
        """
        sentence = _comment(text) if text.strip() else ""
        seen = self._submissions.get(id)
        must_be(seen, (SUBMITTED,), "accepted")
        self._check_version(seen["model_id"], seen["version"])
        self._owners.claim(seen["model_id"], seen["owner"], seen["by_admin"])

        def take(body: Body) -> None:
            must_be(body, (SUBMITTED,), "accepted")
            if body["package_sha256"] != seen["package_sha256"]:
                raise NotReady("The package was changed while it was accepted.", "Look at it again.")
            body["state"] = ACCEPTED
            if sentence:
                _say(body, person, "accept", sentence)
            note(body, "accepted", person.id)

        return self._submissions.change(id, take)

    def comment(self, id: str, person: Person, text: str) -> Body:
        sentence = _comment(text)

        def say(body: Body) -> None:
            _say(body, person, "comment", sentence)

        return self._submissions.change(id, say)

    def discard(self, id: str, person: Person) -> None:
        """Forget a draft, and let go of its files; raises `WrongState` for what is under review or published."""

        def forget(body: Body) -> None:
            must_be(body, OPEN_STATES, "discarded")
            body |= {"state": DISCARDED, "files": {}, "fields": {}, "package_sha256": "", "check": None}
            note(body, "discarded", person.id)

        self._submissions.change(id, forget)

    def _check_version(self, id: str, version: str) -> None:
        try:
            found = self._catalogue.get_any(id, check_version(version))
        except ModelWithdrawn:
            return
        except ModelMissing:
            return
        if found.get("withdrawn"):
            raise VersionExists(f"Version {version} of {id} was withdrawn.", "Give the new one a new version.")
        raise VersionExists(
            f"Version {version} of {id} is published already.", "A published version never changes: give a new version."
        )


def _check_ready(body: Body) -> None:
    must_be(body, OPEN_STATES, "submitted")
    check = body["check"] or {}
    if check.get("state") == CHECKING:
        raise NotReady("The check of this model is not done yet.", "Wait for its report, and submit then.")
    if check.get("state") == "passed" and not body["package_sha256"]:
        raise NotReady("The model was changed after its check.", "Check it again, and submit then.")
    if check.get("state") != "passed" or not body["package_sha256"]:
        raise NotReady("The model has not passed a check.", "Check it, mend what the report says, and submit then.")


def _comment(text: str) -> str:
    sentence = text.strip()
    if not sentence or len(sentence) > MAXIMUM_COMMENT:
        raise BadSubmission("A comment is missing, or too long.", f"Write at most {MAXIMUM_COMMENT} characters.")
    if any(unicodedata.category(character) == "Cc" and character not in "\n\r\t" for character in sentence):
        raise BadSubmission("The comment holds control characters.", "Write plain text.")
    return sentence


def _say(body: Body, person: Person, kind: str, text: str) -> None:
    if len(body["comments"]) >= MAXIMUM_COMMENTS:
        raise BadSubmission(f"This submission has {MAXIMUM_COMMENTS} comments.", "Talk to each other elsewhere.")
    entry: dict[str, Any] = {"at": time.time(), "author": person.id, "author_name": person.name, "kind": kind}
    body["comments"].append(entry | {"text": text})
