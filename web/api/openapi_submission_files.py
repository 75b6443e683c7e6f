"""The OpenAPI description of the files of a submission."""

from __future__ import annotations

from typing import Any

from web.api.openapi_schemas import FREE, INTEGER, TEXT, _list, _object, _ref

OPERATIONS: tuple[Any, ...] = (
    ("put", "/submissions/{uuid}/files/{role}",
     "Send a file: whole, or some of its bytes with Content-Range. It is looked at before it is kept; nothing is run.",
     {200: ("The submission, and what the file is.", "SubmittedFile"), 202: ("What has come so far.", "UploadPart")},
     ("key", "X-Filename", "Content-Range"), (400, 401, 403, 404, 409, 422, 507)),
    ("get", "/submissions/{uuid}/files/{role}", "A file as it was sent, for its author and reviewers.",
     {200: ("The file.", "*/*")}, ("download",), (400, 401, 403, 404)),
    ("get", "/submissions/{uuid}/files/{role}/thumbnail.png", "The test image or the cover, small.",
     {200: ("The picture.", "image/png")}, (), (400, 401, 403, 404)),
    ("delete", "/submissions/{uuid}/files/{role}", "Remove a file.", {200: ("The submission.", "Submission")}, (),
     (400, 401, 403, 404, 409)),
    ("get", "/submissions/{uuid}/uploads/{role}", "How much of a file has come, to go on with its upload.",
     {200: ("What has come.", "UploadPart")}, ("key",), (400, 401, 403, 404)),
)  # fmt: skip

PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "role": (
        {"enum": ["package", "weights", "test_image", "cover"]},
        "What the file is: a whole package, or a bare network (weights) and its test image; a cover if you like.",
    ),
    "key": (
        {"type": "string", "maxLength": 400},
        "What tells this file from another one, such as its name, size and date: an upload goes on under it.",
    ),
    "X-Filename": ({"type": "string"}, "The file's name, percent-encoded."),
    "Content-Range": (
        {"type": "string", "pattern": "^bytes [0-9]+-[0-9]+/[0-9]+$"},
        "Which bytes these are, such as bytes 0-99/1000.",
    ),
}

SCHEMAS: dict[str, Any] = {
    "Found": _object(
        ("kind", "fields", "facts", "wrong"),
        kind=TEXT | {"enum": ["package", "keras", "onnx", "image", "cover"]},
        fields=FREE | {"description": "What the file tells of the form."},
        facts=FREE | {"description": "Of a bare network: axes, channels, maps, stride, how far it sees."},
        wrong=_list(_object(("field", "sentence"), field=TEXT, sentence=TEXT)),
    ),
    "SubmittedFile": _object(("submission", "found"), submission=_ref("Submission"), found=_ref("Found")),
    "UploadPart": _object(("received",), received=INTEGER, bytes=INTEGER),
}

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("put", "/submissions/{uuid}/files/{role}"): {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
}
