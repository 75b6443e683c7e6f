"""API tokens: what a program shows in place of its owner. Only a hash is kept; whoever has the token is its owner."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from typing import Any

from zoo.accounts import BadAccount, check_name
from zoo.documents import DocumentMissing, Documents, Fields, Query, RevisionConflict
from zoo.identifiers import is_uuid, new_uuid

COLLECTION = "api_tokens"
FIELDS = Fields(single=("owner", "created_at"))
PREFIX = "zst_"
TOKEN = re.compile(PREFIX + r"([0-9a-f]{32})_([0-9a-f]{64})")
SCOPES = {"read": "Read what you may read", "publish": "Upload, submit and change your models"}
MOST_TOKENS = 50
# When a token was last used is told to within this; a write for each request would cost more than it tells.
USED_SECONDS = 300.0


class ApiTokens:
    """Tokens `zst_<id>_<secret>`: found by the id, believed by the secret (256 random bits, kept as its sha256)."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        documents.declare(COLLECTION, FIELDS)

    def make(self, owner: str, name: str, scopes: Iterable[str]) -> tuple[str, dict[str, Any]]:
        """A new token and its document; the token itself is never seen again. Raises BadAccount."""
        chosen = [scope for scope in SCOPES if scope in set(scopes)]
        if not chosen:
            raise BadAccount("A token needs something that it may do.", f"Choose of: {', '.join(SCOPES)}.")
        if len(self.of(owner)) >= MOST_TOKENS:
            raise BadAccount(f"You have {MOST_TOKENS} tokens already.", "Revoke some that are not used any more.")
        secret = secrets.token_hex(32)
        id = new_uuid()
        body = {
            "id": id, "owner": owner, "name": check_name(name), "scopes": chosen, "hash": _hash(secret),
            "created_at": time.time(), "used_at": None, "revoked_at": None,
        }  # fmt: skip
        self._documents.create(COLLECTION, id, body)
        return f"{PREFIX}{id}_{secret}", body

    def find(self, token: str) -> dict[str, Any] | None:
        """The document of a token that is valid now, which counts as used; None for any other."""
        parts = TOKEN.fullmatch(token)
        if parts is None:
            return None
        try:
            found = self._documents.get(COLLECTION, parts[1])
        except DocumentMissing:
            return None
        body = found.body
        if not hmac.compare_digest(_hash(parts[2]), body["hash"]) or body["revoked_at"] is not None:
            return None
        now = time.time()
        if body["used_at"] is None or now - body["used_at"] > USED_SECONDS:
            try:
                changed = body | {"used_at": now}
                self._documents.replace(COLLECTION, body["id"], changed, found.revision, lasting=False)
            except (RevisionConflict, DocumentMissing):
                # Another request of it said so, or it is being revoked, which the next one sees.
                pass
        return body

    def of(self, owner: str) -> list[dict[str, Any]]:
        """The owner's tokens that are not revoked, newest first."""
        query = Query(filters={"owner": [owner]}, sort="created_at", size=200)
        return [item.body for item in self._documents.search(COLLECTION, query).items if not item.body["revoked_at"]]

    def revoke(self, owner: str, id: str) -> None:
        """End one of the owner's tokens for good; one that is not theirs is none. Raises BadAccount."""
        while is_uuid(id):
            try:
                found = self._documents.get(COLLECTION, id)
                if found.body["owner"] != owner:
                    break
                changed = found.body | {"revoked_at": found.body["revoked_at"] or time.time()}
                self._documents.replace(COLLECTION, id, changed, found.revision)
                return
            except RevisionConflict:
                continue
            except DocumentMissing:
                break
        raise BadAccount("You have no such token.", "Reload the page.")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
