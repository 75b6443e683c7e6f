"""A queue entry: the few bytes about a job that travel through beanstalkd. A reference, never pixels."""

from __future__ import annotations

import json
from dataclasses import dataclass

from zoo.errors import UserError
from zoo.identifiers import is_uuid

VERSION = 1


class BadEntry(UserError):
    code = "bad-queue-entry"


@dataclass(frozen=True)
class Entry:
    """The body of a beanstalkd job in a work tube, as JSON with its version `v`."""

    uuid: str
    kind: str
    capability: str
    attempt: int
    token: str

    def to_bytes(self) -> bytes:
        return json.dumps({"v": VERSION} | vars(self), separators=(",", ":")).encode()

    @classmethod
    def parse(cls, data: bytes) -> Entry:
        """Raises BadEntry for bytes that are not an entry of this version."""
        try:
            body = json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError):
            raise BadEntry("The queue entry is not JSON.") from None
        if not isinstance(body, dict) or body.get("v") != VERSION:
            raise BadEntry("The queue entry is of an unknown version.")
        wanted = {"uuid": str, "kind": str, "capability": str, "attempt": int, "token": str}
        if any(not isinstance(body.get(name), kind) for name, kind in wanted.items()) or not is_uuid(body["uuid"]):
            raise BadEntry("The queue entry lacks a field.")
        return cls(**{name: body[name] for name in wanted})


def entry_uuid(data: bytes) -> str | None:
    """The uuid of the job that the bytes speak of, None when they are not an entry."""
    try:
        return Entry.parse(data).uuid
    except BadEntry:
        return None
