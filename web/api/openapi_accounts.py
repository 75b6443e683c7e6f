"""What the OpenAPI document says of accounts."""

from __future__ import annotations

from typing import Any

PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {}
OPERATIONS: tuple[tuple[str, str, str, dict[int, tuple[str, str]], tuple[str, ...], tuple[int, ...]], ...] = (
    ("get", "/account", "Whose session or API token this is.", {200: ("The account.", "Account")}, (), (401,)),
)
SCHEMAS: dict[str, dict[str, Any]] = {
    "Account": {
        "type": "object",
        "required": ["id", "name", "orcid", "roles"],
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "name": {"type": "string"},
            "orcid": {"type": "string", "description": "An ORCID iD that was proved by signing in; else empty."},
            "roles": {
                "type": "array",
                "items": {"enum": ["author", "reviewer", "admin"]},
                "description": "What they may do in this request; with an API token no more than an author.",
            },
        },
    },
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {}
