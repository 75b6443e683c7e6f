"""Documents: JSON objects with a revision, in collections. The interface that every engine keeps, and its limits.

An engine is put through `tests/zoo/documents_contract.py`; what is written there and here is what callers may rely on.
Reading by id is always up to date; nothing may be decided from a search that a compare-and-set does not confirm.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from zoo.document_fields import DocumentInvalid, words_of_text
from zoo.errors import Unavailable, UserError

Scalar = str | int | float | bool

MAXIMUM_PAGE_SIZE = 200
# A page further down than this is refused: no one reads it, and Elasticsearch does not serve it.
MAXIMUM_RESULTS = 10_000
MAXIMUM_QUERY_TEXT = 1000
MAXIMUM_QUERY_WORDS = 50
MAXIMUM_QUERY_FIELDS = 30
MAXIMUM_FILTER_VALUES = 100
MAXIMUM_FACET_VALUES = 100
MAXIMUM_PATH = 200
SCORE = "_score"
COLLECTION = re.compile(r"[a-z][a-z0-9_]{0,49}")


class DocumentMissing(UserError):
    code = "not-found"
    status = 404


class DocumentExists(UserError):
    code = "exists"
    status = 409


class RevisionConflict(UserError):
    code = "revision-conflict"
    status = 409


class BadQuery(UserError):
    code = "bad-query"


class DocumentsUnavailable(Unavailable):
    code = "documents-unavailable"


@dataclass(frozen=True)
class Stored:
    """A document as it is kept. `revision` is opaque: it changes with every write and never comes back."""

    id: str
    body: dict[str, Any]
    revision: str


@dataclass(frozen=True)
class Query:
    """What to search for. Fields are dotted paths into the body; lists match by any of their elements.

    `text`: every word must occur somewhere in the strings of the body (accents and case do not matter), the last one
    as the beginning of a word.
    `filters`: any of the values of a field (no values: no filter), all of the fields; numbers and booleans equal their
    spelling.
    `ranges`: numbers from and to, inclusive; None for no limit.
    `facets`: how many documents have each value of a field, under everything but the filter on that field.
    `sort`: `_score` or a field; documents without it come last, a list counts by its least element, or its greatest
    when descending; ties by id.
    `page` counts from 1.
    """

    text: str = ""
    filters: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)
    facets: Sequence[str] = ()
    ranges: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    sort: str = SCORE
    descending: bool = True
    page: int = 1
    size: int = 20

    def check(self) -> None:
        """Raise `BadQuery` when a limit is passed."""
        if len(self.text) > MAXIMUM_QUERY_TEXT or len(words_of_text(self.text)) > MAXIMUM_QUERY_WORDS:
            raise BadQuery("The search text is too long.", f"Use at most {MAXIMUM_QUERY_WORDS} words.")
        if not 1 <= self.size <= MAXIMUM_PAGE_SIZE:
            raise BadQuery(f"The page size is {self.size}.", f"Give a number from 1 to {MAXIMUM_PAGE_SIZE}.")
        if self.page < 1 or self.page * self.size > MAXIMUM_RESULTS:
            raise BadQuery(f"There is no page {self.page}.", f"Only the first {MAXIMUM_RESULTS} results are listed.")
        paths = (*self.filters, *self.facets, *self.ranges, self.sort)
        if len(paths) > MAXIMUM_QUERY_FIELDS:
            raise BadQuery("The search names too many fields.", f"Name at most {MAXIMUM_QUERY_FIELDS}.")
        for path in paths:
            if not path or len(path) > MAXIMUM_PATH or not _encodable(path):
                raise BadQuery(f"{path[:50]!r} is not a field.", "Name fields like model.id.")
        for values in self.filters.values():
            if len(values) > MAXIMUM_FILTER_VALUES or not all(_encodable(str(value)) for value in values):
                raise BadQuery("A filter is not valid.", f"Give at most {MAXIMUM_FILTER_VALUES} values of plain text.")
        for limits in self.ranges.values():
            if any(limit is not None and math.isnan(limit) for limit in limits):
                raise BadQuery("A range has a limit that is not a number.", "Give numbers, or leave a limit out.")


@dataclass(frozen=True)
class Page:
    """`items` of one page, the `total` of all pages, and for each facet asked for its values with their counts.

    Facet values come most frequent first, ties in their order, at most `MAXIMUM_FACET_VALUES` of them.
    """

    items: list[Stored]
    total: int
    facets: dict[str, dict[str, int]]


class Documents(Protocol):
    """Thread-safe, and shared by processes. Every method may raise `DocumentsUnavailable`; writes `DiskFull` too."""

    def create(self, collection: str, id: str, body: Mapping[str, Any]) -> Stored:
        """Store a new document; of several at once exactly one succeeds, the others raise `DocumentExists`."""

    def get(self, collection: str, id: str) -> Stored:
        """The document as it is now; raises `DocumentMissing`."""

    def replace(self, collection: str, id: str, body: Mapping[str, Any], revision: str) -> Stored:
        """Store a new body if the document still has `revision`; raises `RevisionConflict` or `DocumentMissing`."""

    def delete(self, collection: str, id: str, revision: str | None = None) -> None:
        """Remove the document, if it still has `revision` when that is given; raises as `replace` does."""

    def search(self, collection: str, query: Query) -> Page:
        """The documents a query finds; raises `BadQuery`. A collection nothing was stored in is empty."""

    def close(self) -> None:
        """Give everything back; the engine is not used afterwards."""


def check_collection(collection: str) -> None:
    if COLLECTION.fullmatch(collection) is None:
        raise DocumentInvalid(f"{collection[:50]!r} cannot be the name of a collection.")


def missing(collection: str, id: str) -> DocumentMissing:
    return DocumentMissing(
        f"There is no {id[:100]!r} in {collection}.", "Check the address; it may also have been deleted."
    )


def conflict(collection: str, id: str) -> RevisionConflict:
    return RevisionConflict(f"{id!r} in {collection} was changed by someone else.", "Read it again and repeat.")


def _encodable(text: str) -> bool:
    """Whether `text` can be part of a document: half a surrogate pair cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
