"""Whose model it is: the account that published its first version, and that alone may publish the next ones.

A document per model in `model_owners`, made once: of two who ask for the same name at once, one gets it.
"""

from __future__ import annotations

import time

from zoo.documents import DocumentExists, DocumentMissing, Documents, Fields
from zoo.errors import UserError
from zoo.shown_models import MODELS, TOMBSTONES

COLLECTION = "model_owners"


class ModelTaken(UserError):
    code = "model-taken"
    status = 409

    def __init__(self, id: str) -> None:
        super().__init__(
            f"The id {id[:100]!r} belongs to somebody else's model.",
            "Choose another id; new versions of a model are published by its owner.",
        )


class ModelOwners:
    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        documents.declare(COLLECTION, Fields())

    def owner_of(self, id: str) -> str | None:
        """The account whose model it is; "" for one that came without an account; None when the id is free."""
        try:
            return str(self._documents.get(COLLECTION, id).body["owner"])
        except DocumentMissing:
            return "" if any(self._is_in(collection, id) for collection in (MODELS, TOMBSTONES)) else None

    def check(self, id: str, account: str, admin: bool = False) -> None:
        """Raise `ModelTaken` unless the account may publish under this id."""
        owner = self.owner_of(id)
        if owner not in (None, account) and not admin:
            raise ModelTaken(id)

    def claim(self, id: str, account: str, admin: bool = False) -> str:
        """Take the id for the account if it is free; returns whose it is. Raises `ModelTaken`."""
        self.check(id, account, admin)
        owner = self.owner_of(id)
        if owner is not None:
            return owner
        try:
            self._documents.create(COLLECTION, id, {"id": id, "owner": account, "at": time.time()})
            return account
        except DocumentExists:
            return self.claim(id, account, admin)

    def _is_in(self, collection: str, id: str) -> bool:
        try:
            self._documents.get(collection, id)
        except DocumentMissing:
            return False
        return True
