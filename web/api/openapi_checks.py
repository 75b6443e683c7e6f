"""The OpenAPI description of checks of submissions."""

from __future__ import annotations

from typing import Any

from web.api.openapi_schemas import _json_body, _object

OPERATIONS: tuple[Any, ...] = (
    ("post", "/submissions/{uuid}/check", "Have a worker check what a draft holds; its `check` names the job.",
     {202: ("The submission.", "Submission")}, (), (401, 403, 404, 409, 422, 429)),
    ("delete", "/submissions/{uuid}/check", "Stop the check that runs; one that is over stays as it is.",
     {200: ("The submission.", "Submission")}, (), (401, 403, 404)),
    ("get", "/submissions/{uuid}/check/files/{name}", "A picture or the log of the last check that is over.",
     {200: ("The file.", "*/*")}, ("sha256", "download"), (401, 403, 404)),
)  # fmt: skip
PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/submissions/{uuid}/check"): _json_body(_object(), required=False),
}
SCHEMAS: dict[str, Any] = {}
