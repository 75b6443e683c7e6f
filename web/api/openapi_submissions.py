"""The OpenAPI description of submissions, their review, and the changes of published versions."""

from __future__ import annotations

from typing import Any

from web.api.openapi_schemas import FREE, INTEGER, TEXT, TIME, UUID, _json_body, _list, _object, _or_null, _page, _ref
from zoo.submissions import STATES
from zoo.text_edits import ABOUT_CHOICES, ABOUT_LISTS

SUBMISSION = {200: ("The submission.", "Submission")}
OPERATIONS: tuple[Any, ...] = (
    ("post", "/submissions", "Begin a draft of a model.", {201: ("The draft.", "Submission")}, (), (401, 403, 429)),
    ("get", "/submissions", "One's own submissions, newest first; for reviewers, all in a state, oldest first.",
     {200: ("Submissions.", "SubmissionPage")}, ("page", "size", "state"), (401, 403)),
    ("get", "/submissions/{uuid}", "One submission, for its author and reviewers.", SUBMISSION, (), (401, 403, 404)),
    ("patch", "/submissions/{uuid}", "Save what the form holds.",
     SUBMISSION | {409: ("It was changed elsewhere, or is under review.", "SubmissionConflict")}, (), (401, 403, 404)),
    ("delete", "/submissions/{uuid}", "Discard a draft.", {204: ("Discarded.", "")}, (), (401, 403, 404, 409)),
    ("get", "/submissions/{uuid}/package.zip", "The package as it was checked and would be published.",
     {200: ("The package.", "application/zip")}, ("sha256",), (401, 403, 404)),
    ("post", "/submissions/{uuid}/submit", "Hand a checked draft to the reviewers.", SUBMISSION, (),
     (401, 403, 404, 409)),
    ("post", "/submissions/{uuid}/return", "Return a submission to its author, with what to change.", SUBMISSION, (),
     (401, 403, 404, 409)),
    ("post", "/submissions/{uuid}/accept", "Accept a submission, and publish it.", SUBMISSION, (),
     (401, 403, 404, 409)),
    ("post", "/submissions/{uuid}/comment", "Say something about a submission.", SUBMISSION, (),
     (401, 403, 404, 409)),
    ("patch", "/models/{id}/versions/{version}", "Change texts of a published version; files and DOI stay.",
     {200: ("The version.", "Model")}, (), (401, 403, 404, 410)),
    ("post", "/models/{id}/versions/{version}/withdraw", "Take a version back; its page and DOI stay.",
     {200: ("What is left of it.", "Tombstone")}, (), (401, 403, 404)),
)  # fmt: skip

PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "state": ({"enum": ["", *STATES]}, "Only submissions in this state, of all authors; for reviewers."),
}

_STATE: dict[str, Any] = {"enum": list(STATES)}
_NULLABLE_TIME = _or_null(TIME)
_COMMENT = _object(
    ("at", "author", "author_name", "kind", "text"),
    at=TIME, author=TEXT, author_name=TEXT, kind={"enum": ["comment", "return", "accept", "note"]}, text=TEXT,
)  # fmt: skip
_ENTRY = {
    "id": UUID, "owner": TEXT, "owner_name": TEXT, "state": _STATE, "title": TEXT, "model_id": TEXT, "version": TEXT,
    "doi": TEXT, "created_at": TIME, "changed_at": TIME, "updated_at": TIME, "submitted_at": _NULLABLE_TIME,
}  # fmt: skip

SCHEMAS: dict[str, Any] = {
    "Submission": _object(
        ("id", "owner", "state", "fields", "files", "changed_at", "comments", "links"),
        **_ENTRY,
        fields=FREE | {"description": "What the form holds, as it was typed."},
        files=FREE | {"description": "By role (package, weights, test_image, cover): name, sha256, bytes, at."},
        package_sha256=TEXT | {"description": "The package that was put together and checked; empty until then."},
        check=_or_null(FREE), comments=_list(_COMMENT), history=_list(FREE),
        publication=_or_null(FREE | {"description": "Why an accepted one is not published yet."}),
        conflict=_or_null(FREE | {"description": "What stands against its id or version: field, message, hint."}),
        missing=_list(_object(("field", "sentence"), field=TEXT, sentence=TEXT))
        | {"description": "What the form lacks for a package to be made of it."},
        links=FREE,
    ),
    "SubmissionEntry": _object(
        ("id", "state", "title"), **_ENTRY, check_state=TEXT, comments=INTEGER
    ),
    "SubmissionPage": _page("SubmissionEntry"),
    "SubmissionConflict": _object(("error",), error=FREE, newest=_ref("Submission")),
    "Tombstone": _object(
        ("id", "name", "at", "reason", "versions"),
        id=TEXT, name=TEXT, at=TIME, reason=TEXT, doi=TEXT, versions=_list(TEXT),
    ),
}  # fmt: skip

_FIELDS = FREE | {"description": "By name; those that are named replace those of the draft, null removes one."}
_WORDS = _or_null(_list(TEXT))
_ABOUT = _object()
_ABOUT["properties"] = dict.fromkeys(ABOUT_LISTS, _WORDS) | {
    name: {"enum": [*of, None]} for name, of in ABOUT_CHOICES.items()
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/submissions"): _json_body(_object(fields=_FIELDS), required=False),
    ("patch", "/submissions/{uuid}"): _json_body(
        _object(("fields",), fields=_FIELDS, changed_at=_or_null(TIME | {"description": "As last seen."}))
    ),
    ("post", "/submissions/{uuid}/submit"): _json_body(_object(), required=False),
    ("post", "/submissions/{uuid}/return"): _json_body(_object(("text",), text=TEXT)),
    ("post", "/submissions/{uuid}/accept"): _json_body(_object(text=TEXT), required=False),
    ("post", "/submissions/{uuid}/comment"): _json_body(_object(("text",), text=TEXT)),
    ("patch", "/models/{id}/versions/{version}"): _json_body(
        _object(name=TEXT, description=TEXT, card=TEXT, tags=_list(TEXT), about=_ABOUT)
    ),
    ("post", "/models/{id}/versions/{version}/withdraw"): _json_body(_object(("reason",), reason=TEXT)),
}
