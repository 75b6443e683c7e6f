"""Submissions: what an author drafts, a reviewer accepts or returns, and the zoo then publishes.

A document of the collection `submissions` per draft, changed by compare-and-set alone. It goes
draft → submitted → (returned → submitted)* → accepted → published; drafts and returned ones may be discarded.
`fields` holds what the form holds, as it was typed; `files` what was uploaded; `package_sha256` the package that was
put together from both and checked, "" as soon as either changes. `blobs` are all it needs, `let_go` those of before.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zoo.documents import MAXIMUM_PAGE_SIZE, DocumentMissing, Documents, Fields, Page, Query, RevisionConflict, Stored
from zoo.errors import Unavailable, UserError
from zoo.identifiers import is_uuid, new_uuid

COLLECTION = "submissions"
DRAFT, SUBMITTED, RETURNED, ACCEPTED, PUBLISHED, DISCARDED = STATES = (
    "draft", "submitted", "returned", "accepted", "published", "discarded",
)  # fmt: skip
# While the author may change what was written and uploaded.
OPEN_STATES = (DRAFT, RETURNED)
# The state of a check, not of its submission.
CHECKING = "running"
ROLES = ("package", "weights", "test_image", "cover")
# Of a published submission these are kept besides its package: they are small, and its page shows them.
KEPT_ROLES = ("test_image", "cover")
MAXIMUM_FIELDS_BYTES = 512 * 1024
MAXIMUM_FIELDS = 200
MAXIMUM_FIELDS_DEPTH = 10
MAXIMUM_VALUES = 5000
MAXIMUM_COMMENT = 5000
MAXIMUM_COMMENTS = 500
MAXIMUM_HISTORY = 200
MAXIMUM_LET_GO = 200
MAXIMUM_OPEN = 100
MAXIMUM_TRIES = 200
LONGEST_TITLE = 200
SEARCHED = Fields(
    single=("owner", "state", "check.state", "model_id", "created_at", "updated_at", "submitted_at"),
    several=("blobs", "let_go"),
    orders=(("owner", "updated_at"), ("state", "submitted_at"), ("state", "updated_at"), ("check.state", "updated_at")),
)

Body = dict[str, Any]
Transition = Callable[[Body], bool | None]


class SubmissionMissing(UserError):
    code = "submission-missing"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such submission.", "Check the link; it may also have been discarded.")


class SubmissionChanged(UserError):
    """`newest` is the submission as it is now."""

    code = "submission-changed"
    status = 409

    def __init__(self, newest: Body) -> None:
        super().__init__(
            "This submission was changed elsewhere, perhaps in another window.",
            "The newest text is in the answer: compare, and save again.",
        )
        self.newest = newest


class WrongState(UserError):
    code = "wrong-state"
    status = 409


class BadSubmission(UserError):
    code = "bad-submission"


class NotReady(UserError):
    code = "not-ready"
    status = 409


class TooManyDrafts(UserError):
    code = "too-many-drafts"
    status = 429


class SubmissionContended(Unavailable):
    code = "submission-contended"


class Submissions:
    """The submissions in `documents`; shared by threads and processes as those are."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        documents.declare(COLLECTION, SEARCHED)

    def create(self, owner: str, fields: Mapping[str, Any] | None = None) -> Body:
        """A new draft; raises `BadSubmission` for fields that cannot be kept, `TooManyDrafts`."""
        mine = Query(filters={"owner": [owner], "state": list(OPEN_STATES)}, size=0, count_limit=MAXIMUM_OPEN)
        if self._documents.search(COLLECTION, mine).total >= MAXIMUM_OPEN:
            raise TooManyDrafts(f"You have {MAXIMUM_OPEN} drafts.", "Discard those you no longer need.")
        now = time.time()
        body: Body = {
            "id": new_uuid(), "owner": owner, "state": DRAFT, "created_at": now, "changed_at": now, "updated_at": now,
            "submitted_at": None, "title": "", "fields": {}, "files": {}, "package_sha256": "", "check": None,
            "model_id": "", "version": "", "doi": "", "by_admin": False, "comments": [], "blobs": [], "let_go": [],
            "history": [{"at": now, "what": "created", "by": owner}], "publication": None,
        }  # fmt: skip
        _enter_fields(body, fields or {})
        return self._documents.create(COLLECTION, body["id"], body).body

    def get(self, id: str) -> Body:
        """The submission as it is now; raises `SubmissionMissing`, also for a discarded one."""
        body = self._stored(id).body
        if body["state"] == DISCARDED:
            raise SubmissionMissing
        return body

    def of_owner(self, owner: str, page: int = 1, size: int = 20) -> Page:
        """The submissions of an account but the discarded ones, those changed last first."""
        states = [state for state in STATES if state != DISCARDED]
        filters = {"owner": [owner], "state": states}
        return self._documents.search(COLLECTION, Query(filters=filters, sort="updated_at", page=page, size=size))

    def in_state(self, states: Iterable[str], page: int = 1, size: int = 20) -> Page:
        """The submissions in these states, that which waits longest first."""
        query = Query(filters={"state": list(states)}, sort="submitted_at", descending=False, page=page, size=size)
        return self._documents.search(COLLECTION, query)

    def under_check(self) -> list[Stored]:
        """Submissions whose check was begun and has not ended here, those that wait longest first, a page of them."""
        running = {"check.state": [CHECKING]}
        query = Query(filters=running, sort="updated_at", descending=False, size=MAXIMUM_PAGE_SIZE, count_limit=0)
        return self._documents.search(COLLECTION, query).items

    def change(self, id: str, transition: Transition, changed_at: float | None = None) -> Body:
        """Apply `transition` to the body, in place, and store it if nobody changed it meanwhile; else again.

        A transition that returns False leaves the document alone; what it raises passes. It may run several times.
        With `changed_at` only what has these fields still is changed; else raises `SubmissionChanged`.
        """
        for _ in range(MAXIMUM_TRIES):
            stored = self._stored(id)
            if stored.body["state"] == DISCARDED:
                raise SubmissionMissing
            if changed_at is not None and stored.body["changed_at"] != changed_at:
                raise SubmissionChanged(stored.body)
            body = copy.deepcopy(stored.body)
            if transition(body) is False:
                return stored.body
            if body["fields"] != stored.body["fields"] or body["state"] != stored.body["state"]:
                body["changed_at"] = max(time.time(), stored.body["changed_at"] + 1e-3)
            body["updated_at"] = time.time()
            body["blobs"] = _blobs(body)
            let_go = set(stored.body["blobs"]) - set(body["blobs"])
            body["let_go"] = [*stored.body.get("let_go", []), *sorted(let_go)][-MAXIMUM_LET_GO:]
            try:
                return self._documents.replace(COLLECTION, id, body, stored.revision).body
            except RevisionConflict:
                continue
        raise SubmissionContended("The submission is being changed by many at once.", "Try again in a moment.")

    def hold_back(self, sha256: str) -> bool:
        """Whether a stored file came with submissions alone that were not published as it is: an upload, a draft's
        package, one that was replaced or discarded. Whoever publishes what is stored must leave it alone."""
        found = []
        for field in ("blobs", "let_go"):
            found += self._documents.search(COLLECTION, Query(filters={field: [sha256]}, size=MAXIMUM_PAGE_SIZE)).items
        return bool(found) and not any(
            item.body["state"] == PUBLISHED and item.body["package_sha256"] == sha256 for item in found
        )

    def set_fields(self, id: str, fields: Mapping[str, Any], changed_at: float | None = None) -> Body:
        """Enter what was typed: named fields replace those of the draft, null removes one."""

        def enter(body: Body) -> bool | None:
            must_be(body, OPEN_STATES, "changed")
            return _enter_fields(body, fields)

        return self.change(id, enter, changed_at)

    def set_file(self, id: str, role: str, name: str, sha256: str, size: int) -> Body:
        """Enter an uploaded file. Hold the blob lock from storing the blob until this is done."""
        check_role(role)

        def enter(body: Body) -> None:
            must_be(body, OPEN_STATES, "changed")
            body["files"][role] = {"name": name, "sha256": sha256, "bytes": size, "at": time.time()}
            outdate(body)

        return self.change(id, enter)

    def remove_file(self, id: str, role: str) -> Body:
        check_role(role)

        def strike(body: Body) -> bool | None:
            must_be(body, OPEN_STATES, "changed")
            if body["files"].pop(role, None) is None:
                return False
            outdate(body)
            return None

        return self.change(id, strike)

    def start_check(self, id: str, job: str, package_sha256: str, **more: Any) -> Body:
        """A check of the package put together of the draft has been queued. Hold the blob lock meanwhile."""

        def enter(body: Body) -> None:
            must_be(body, OPEN_STATES, "checked")
            body["package_sha256"] = ""
            body["check"] = {"job": job, "package_sha256": package_sha256, "state": CHECKING, "report": None} | more
            note(body, "check started", body["owner"])

        return self.change(id, enter)

    def end_check(
        self, id: str, job: str, state: str, report: Mapping[str, Any] | None, package_sha256: str = "", **more: Any
    ) -> Body:
        """What a check came to (passed, failed, error); `package_sha256` is the package with what it found written in.

        A check that is not the last one changes nothing, and one of what has been changed since marks nothing as
        checked. Hold the blob lock meanwhile.
        """

        def enter(body: Body) -> bool | None:
            check = body["check"]
            if not check or check["job"] != job or check["state"] != CHECKING:
                return False
            check |= {"state": state, "report": None if report is None else dict(report)} | more
            if not check.get("outdated"):
                body["package_sha256"] = package_sha256 if state == "passed" else ""
            note(body, f"check {state}", "")
            return None

        return self.change(id, enter)

    def _stored(self, id: str) -> Any:
        if not is_uuid(id):
            raise SubmissionMissing
        try:
            return self._documents.get(COLLECTION, id)
        except DocumentMissing:
            raise SubmissionMissing from None


def check_role(role: str) -> str:
    if role not in ROLES:
        raise BadSubmission(f"There is no file {role[:40]!r} in a submission.", f"It has {', '.join(ROLES)}.")
    return role


def must_be(body: Body, states: Iterable[str], done: str) -> None:
    """Raise `WrongState` unless the submission is in one of `states`; `done` says what is not possible now."""
    if body["state"] not in states:
        raise WrongState(
            f"This submission is {body['state']}, and cannot be {done} now.", "Reload its page to see what happened."
        )


def note(body: Body, what: str, by: str) -> None:
    """Add a line to the history, which keeps its first and its latest lines."""
    if len(body["history"]) >= MAXIMUM_HISTORY:
        del body["history"][1]
    body["history"].append({"at": time.time(), "what": what, "by": by})


def outdate(body: Body) -> None:
    """What was checked is no longer what the draft holds."""
    body["package_sha256"] = ""
    if body["check"]:
        body["check"]["outdated"] = True


def _enter_fields(body: Body, fields: Mapping[str, Any]) -> bool | None:
    merged = {name: value for name, value in (body["fields"] | dict(fields)).items() if value is not None}
    _check_fields(merged)
    if merged == body["fields"]:
        return False
    body["fields"] = merged
    body["title"] = str(merged.get("name") or "")[:LONGEST_TITLE]
    for name, key in (("id", "model_id"), ("version", "version")):
        body[key] = str(merged.get(name) or "")[:LONGEST_TITLE]
    outdate(body)
    return None


def _check_fields(fields: Mapping[str, Any]) -> None:
    count = 0
    nodes: list[tuple[Any, int]] = [(fields, 0)]
    while nodes:
        node, depth = nodes.pop()
        count += 1
        if depth > MAXIMUM_FIELDS_DEPTH or count > MAXIMUM_VALUES:
            raise BadSubmission("The form is nested too deeply, or has too many fields.", "Send what the form has.")
        children = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
        nodes.extend((child, depth + 1) for child in children)
    if len(fields) > MAXIMUM_FIELDS:
        raise BadSubmission(f"The form has {len(fields)} fields.", f"At most {MAXIMUM_FIELDS} are kept.")
    size = len(json.dumps(dict(fields), ensure_ascii=False).encode("utf-8", "replace"))
    if size > MAXIMUM_FIELDS_BYTES:
        raise BadSubmission(
            f"The form holds {size / 1024:,.0f} KiB of text; {MAXIMUM_FIELDS_BYTES // 1024} KiB are kept.",
            "Shorten the description or the card.",
        )


def _blobs(body: Body) -> list[str]:
    """Every blob the submission needs, in one flat list, so that a search finds who needs a blob."""
    if body["state"] == DISCARDED:
        return []
    check = body["check"] or {}
    files = {role: file["sha256"] for role, file in body["files"].items()}
    if body["state"] == PUBLISHED:
        files = {role: sha256 for role, sha256 in files.items() if role in KEPT_ROLES}
    found = {*files.values(), *(check.get("blobs") or ()), body["package_sha256"], check.get("package_sha256", "")}
    return sorted(found - {""})
