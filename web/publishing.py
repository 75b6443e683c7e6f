"""The parts that take a draft to a published model, put together once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.doi_minting import Minting
from zoo.doi_registry import open_registry
from zoo.model_owners import ModelOwners
from zoo.publication import Publication
from zoo.review import Review
from zoo.version_changes import VersionChanges

if TYPE_CHECKING:
    from web.service import Service


class Publishing:
    def __init__(self, parts: Service) -> None:
        self.owners = ModelOwners(parts.documents)
        self.review = Review(parts.submissions, parts.catalogue, self.owners)
        self.minting = Minting(parts.documents, open_registry(parts.settings), parts.settings.public_url, parts.blobs)
        self.changes = VersionChanges(parts.catalogue, self.minting)
        self.publication = Publication(parts.submissions, parts.catalogue, self.owners, self.changes, self.minting)
