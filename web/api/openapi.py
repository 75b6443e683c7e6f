"""The OpenAPI 3.1 document of the public API. A test holds every route against it, both ways."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flask import Blueprint, jsonify

from web.api import (
    openapi_accounts,
    openapi_checks,
    openapi_library,
    openapi_schemas,
    openapi_search,
    openapi_submission_files,
    openapi_submissions,
)
from web.search_state import PIXEL_FIELDS
from web.service import SOFTWARE_VERSION
from zoo.catalogue import FACETS, OLD_FACETS

blueprint = Blueprint("api_openapi", __name__)

PREFIX = "/api/v1"
DESCRIPTION = (
    "Everything the pages do, for programs. A visitor is known by a signed cookie, so keep the cookies of the first "
    "answer to find your jobs again. Whoever has a job's uuid may read it and its files. Publishing needs an account: "
    "send an API token, made at /account, as Authorization: Bearer zst_…"
)

# What a parameter in a path or a query means: its schema and its sentence.
PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "id": ({"type": "string"}, "Id of the model or image."),
    "version": ({"type": "string"}, "Version of the model."),
    "number": ({"type": "integer", "minimum": 0}, "Which sample, counted from 0."),
    "uuid": ({"type": "string", "pattern": "^[0-9a-f]{32}$"}, "The job's uuid."),
    "name": ({"type": "string"}, "Name of the file or layer."),
    "plane": ({"type": "integer", "minimum": 0}, "Plane of the stack, counted from 0."),
    "level": ({"type": "integer", "minimum": 0}, "Level of the pyramid; the highest has the full resolution."),
    "x": ({"type": "integer", "minimum": 0}, "Column of the tile."),
    "y": ({"type": "integer", "minimum": 0}, "Row of the tile."),
    "q": ({"type": "string", "maxLength": 1000}, "Words to search for."),
    "page": ({"type": "integer", "minimum": 1, "default": 1}, "Page, counted from 1."),
    "size": ({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "Items of a page."),
    "sort": ({"enum": ["_score", "name", "created"]}, "What to sort by; _score is how well the words match."),
    "order": ({"enum": ["asc", "desc"]}, "Direction of the sort."),
    "model": ({"type": "string"}, "Id of a model: only the settings that matter to it, with its defaults."),
    "channels": ({"type": "string"}, "Channels to show, such as 0 or 0,2,1; empty: all."),
    "map": ({"type": "integer", "minimum": 0}, "Which of the maps; empty: the one that says where objects are."),
    "low": ({"type": "number"}, "Value shown as black; empty: chosen from the plane."),
    "high": ({"type": "number"}, "Value shown as white; empty: chosen from the plane."),
    "sha256": ({"type": "string"}, "Beginning of the content's sha256: then the answer may be cached for good."),
    "download": ({"type": "string"}, "When there, the file is sent as a download."),
    "head.object": ({"type": "array", "items": {"type": "string"}}, "Only models that find one of these."),
    "head.kind": ({"type": "array", "items": {"type": "string"}}, "Only models with one of these heads."),
    "tags": ({"type": "array", "items": {"type": "string"}}, "Only models with one of these tags."),
    "licence": ({"type": "array", "items": {"type": "string"}}, "Only models under one of these licences."),
    "Last-Event-ID": ({"type": "string"}, "The last event seen, sent by browsers that reconnect."),
    "Idempotency-Key": (
        {"type": "string", "minLength": 8, "maxLength": 200},
        "A random key: the same request sent again under it, because no answer came, makes no second job.",
    ),
}
# method, path, summary, {status: (what, schema or media type)}, query parameters, further errors
Operation = tuple[str, str, str, dict[int, tuple[str, str]], tuple[str, ...], tuple[int, ...]]
JOB = {200: ("The job.", "Job")}
OPERATIONS: tuple[Operation, ...] = (
    ("get", "/models", "Search the models of the zoo.", {200: ("Models.", "ModelPage")},
     ("q", "page", "size", "sort", "order", *PIXEL_FIELDS, *FACETS, *OLD_FACETS),
     (400,)),
    ("get", "/models/{id}", "One model, in its latest version.", {200: ("The model.", "Model")}, (), (404, 410)),
    ("get", "/models/{id}/versions/{version}", "One version of a model.", {200: ("The model.", "Model")}, (),
     (404, 410)),
    ("get", "/models/{id}/versions/{version}/package.zip", "The model's package, a bioimage.io zip.",
     {200: ("The package.", "application/zip")}, ("sha256",), (404, 410)),
    ("get", "/models/{id}/versions/{version}/cover.png", "The model's cover picture.",
     {200: ("The picture.", "image/png")}, ("sha256",), (404, 410)),
    ("get", "/models/{id}/versions/{version}/cover-before.png", "The cover without the result drawn over it.",
     {200: ("The picture.", "image/png")}, ("sha256",), (404, 410)),
    ("get", "/models/{id}/versions/{version}/samples/{number}", "A sample image of the model, as a picture.",
     {200: ("The picture.", "image/png")}, ("sha256",), (404, 410)),
    ("get", "/preview-settings", "The settings of a preview.", {200: ("The settings.", "PreviewSettings")},
     ("model", "version"), (404, 410)),
    ("post", "/images", "Upload an image: PNG, JPEG, TIFF, OME-TIFF, OME-Zarr in a zip.",
     {201: ("The image.", "Image")}, (), (400, 413, 415, 507)),
    ("post", "/images/from-sample", "Take a model's sample as an image.", {201: ("The image.", "Image")}, (),
     (400, 404)),
    ("get", "/images", "The images this visitor uploaded, newest first.", {200: ("Images.", "ImagePage")},
     ("page", "size"), (400,)),
    ("get", "/images/{id}", "One image.", {200: ("The image.", "Image")}, (), (403, 404)),
    ("delete", "/images/{id}", "Delete an uploaded image; results stay.", {204: ("Deleted.", "")}, (), (403, 404)),
    ("get", "/images/{id}/thumbnail.png", "The image, small.", {200: ("The picture.", "image/png")}, ("plane",),
     (400, 403, 404)),
    ("get", "/images/{id}/planes/{plane}/tiles/{level}/{x}_{y}.png", "A tile of 256 pixels of a plane.",
     {200: ("The tile.", "image/png")}, ("channels", "low", "high"), (400, 403, 404)),
    ("post", "/estimates", "How long previews would take, and how well models suit the image.",
     {200: ("An item per model.", "Estimates")}, (), (400, 403, 404)),
    ("post", "/jobs", "Run previews: a job per model.", {201: ("The jobs.", "Jobs")}, ("Idempotency-Key",),
     (400, 403, 404, 409, 429, 503)),
    ("get", "/jobs", "The jobs of this visitor, newest first.", {200: ("Jobs.", "JobPage")}, ("page", "size"), (400,)),
    ("get", "/jobs/{uuid}", "One job.", JOB, (), (404,)),
    ("delete", "/jobs/{uuid}", "Delete a job and its result.", {204: ("Deleted.", "")}, (), (403, 404)),
    ("post", "/jobs/{uuid}/cancel", "Stop a job.", JOB, (), (403, 404, 409)),
    ("post", "/jobs/{uuid}/rerun", "Run a job again, with other settings if given.", {201: ("The new job.", "Job")},
     (), (400, 403, 404, 409, 503)),
    ("get", "/jobs/{uuid}/log", "What the job wrote so far.", {200: ("The log.", "text/plain")}, (), (404,)),
    ("get", "/jobs/{uuid}/events",
     "Server-sent events `job`, each with the job, until it is over; 503 when too many streams are open: poll then.",
     {200: ("The stream.", "text/event-stream")}, ("Last-Event-ID",), (404, 503)),
    ("get", "/jobs/{uuid}/files/{name}", "A file of the result.", {200: ("The file.", "*/*")},
     ("sha256", "download"), (404,)),
    ("get", "/jobs/{uuid}/layers/{name}", "original.png, probability.png, tint.png, mask.png or thumbnail.png.",
     {200: ("The picture.", "image/png")}, ("map",), (400, 404)),
    ("get", "/jobs/{uuid}/objects", "The objects as a page draws them: rows of the table, and outlines in steps.",
     {200: ("The objects.", "Objects")}, (), (404,)),
    ("get", "/jobs/{uuid}/result.zip", "All files of the result.", {200: ("The zip.", "application/zip")}, (), (404,)),
    ("get", "/status", "Workers, queue and waiting time.", {200: ("The status.", "Status")}, (), ()),
    ("get", "/openapi.json", "This document.", {200: ("The document.", "Anything")}, (), ()),
    ("get", "/docs", "This document as a page.", {200: ("The page.", "text/html")}, (), ()),
)  # fmt: skip

# Subjects that describe themselves; each has OPERATIONS, PARAMETERS, BODIES and SCHEMAS.
SUBJECTS = (
    openapi_accounts,
    openapi_checks,
    openapi_library,
    openapi_search,
    openapi_submission_files,
    openapi_submissions,
)
BODIES, SCHEMAS = dict(openapi_schemas.BODIES), dict(openapi_schemas.SCHEMAS)
for _subject in SUBJECTS:
    PARAMETERS |= _subject.PARAMETERS
    OPERATIONS = (*OPERATIONS, *_subject.OPERATIONS)
    BODIES |= _subject.BODIES
    SCHEMAS |= _subject.SCHEMAS

SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token, zst_…, made at /account."},
    "session": {"type": "apiKey", "in": "cookie", "name": "zooscope_account", "description": "Made at /sign-in."},
}
ERRORS = {
    400: "The request is wrong; the error says how.",
    401: "It needs an account: a session, or an API token in Authorization: Bearer.",
    403: "It belongs to another visitor, or another site asked.",
    404: "There is no such thing.",
    409: "It changed in the meantime, or no worker that is online can run the model.",
    410: "It was withdrawn; the error says why.",
    413: "Too large.",
    414: "The address is too long.",
    415: "The wrong content type.",
    422: "The file is not accepted; the error says why.",
    429: "Too much at once.",
    503: "Not available now; see Retry-After.",
    507: "The disk of the service is full.",
}

# What any request can meet: junk in its address, a part of the service that is down; and any body.
ALWAYS, OF_BODIES = {400, 414, 503}, {413, 415}


def _operation(operation: Operation) -> dict[str, Any]:
    method, path, summary, answers, queries, errors = operation
    in_path = [part.split("}")[0] for part in path.split("{")[1:]]
    parameters = [_parameter(name, "path") for name in in_path]
    parameters += [_parameter(name, "header" if name[0].isupper() else "query") for name in queries]
    responses = {str(status): _answer(what, kind) for status, (what, kind) in answers.items()}
    always = ALWAYS | (OF_BODIES if (method, path) in BODIES else set())
    responses |= {str(status): _answer(ERRORS[status], "Error") for status in sorted({*errors, *always})}
    found: dict[str, Any] = {
        "operationId": _operation_id(method, path), "summary": summary, "responses": responses,
    }  # fmt: skip
    if parameters:
        found["parameters"] = parameters
    if 401 in errors:
        found["security"] = [{name: []} for name in SECURITY]
    if body := BODIES.get((method, path)):
        found["requestBody"] = body
    return found


def _operation_id(method: str, path: str) -> str:
    words = path.replace("{", "by_").replace("}", "").replace("/", "_").replace("-", "_").replace(".", "_")
    return f"{method}{words}"


def _parameter(name: str, place: str) -> dict[str, Any]:
    schema, description = PARAMETERS[name]
    # "sort@library" is the parameter sort where it means something of its own.
    return {
        "name": name.split("@")[0],
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }


def _answer(what: str, kind: str) -> dict[str, Any]:
    if not kind:
        return {"description": what}
    if "/" in kind:
        return {"description": what, "content": {kind: {"schema": {}}}}
    return {
        "description": what,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind}"}}},
    }


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(PREFIX + operation[1], {})[operation[0]] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Zooscope API", "version": SOFTWARE_VERSION, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": SECURITY},
    }


@blueprint.get("/openapi.json")
def get_openapi() -> Any:
    return jsonify(document())
