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

from zoo.document_fields import DocumentInvalid, value_at, words_of_text
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
MAXIMUM_DECLARED = 60
SCORE = "_score"
COLLECTION = re.compile(r"[a-z][a-z0-9_]{0,49}")
DECLARED_PATH = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


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
class Write:
    """One of several writes: a new document, or a new body for one that must still have `revision`.

    `before`, the body that it has at that revision, saves looking at it.
    """

    id: str
    body: Mapping[str, Any]
    revision: str | None = None
    before: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Query:
    """What to search for. Fields are dotted paths into the body; lists match by any of their elements.

    `text`: every word must occur somewhere in the strings of the body (accents and case do not matter), the last one
    as the beginning of a word. A word that occurs nowhere in the collection (the last: that begins none there) is
    taken for a misspelt one: for all words there that begin with the same letter and differ from it by one letter
    left out, added, changed or swapped with its neighbour, by up to two where it has eight letters or more; shorter
    ones than four letters are taken as they are.
    `filters`: any of the values of a field (no values: no filter), all of the fields; numbers and booleans equal their
    spelling.
    `ranges`: numbers from and to, inclusive; None for no limit.
    `facets`: how many documents have each value of a field, under everything but the filter on that field.
    `sort`: `_score` or a field; documents without it come last, a list counts by its least element, or its greatest
    when descending; ties by id.
    `page` counts from 1; a `size` of 0 asks for the total alone.
    `count_limit`: the total is told no higher than this, and costs no more than counting so far; None for all of it.
    """

    text: str = ""
    filters: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)
    facets: Sequence[str] = ()
    ranges: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    sort: str = SCORE
    descending: bool = True
    page: int = 1
    size: int = 20
    count_limit: int | None = None

    def check(self) -> None:
        """Raise `BadQuery` when a limit is passed."""
        text = self.text
        if text and (len(text) > MAXIMUM_QUERY_TEXT or len(words_of_text(text)) > MAXIMUM_QUERY_WORDS):
            raise BadQuery("The search text is too long.", f"Use at most {MAXIMUM_QUERY_WORDS} words.")
        if not 0 <= self.size <= MAXIMUM_PAGE_SIZE:
            raise BadQuery(f"The page size is {self.size}.", f"Give a number from 0 to {MAXIMUM_PAGE_SIZE}.")
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


@dataclass(frozen=True)
class Fields:
    """What a collection is searched by, said by who keeps it; nothing else of its documents is indexed, nor its text.

    `single`: fields of one value, which filter, sort and range; `several`: fields that may hold lists, which filter.
    `orders`: single fields each; filters of one value on all but the last of them, sorted or ranged by the last, cost
    the same however many documents there are.
    `counts`: single fields each; the total of a search that filters by nothing but some of them is known beforehand.
    `text`: its text is searched too. `facets`: fields of either kind that are counted, and `numbers`: single fields
    that hold numbers, which sort and range; both, as the text, in a hundred thousand documents within milliseconds.
    Something else than a number in `numbers` is as if it were not there.
    """

    single: tuple[str, ...] = ()
    several: tuple[str, ...] = ()
    orders: tuple[tuple[str, ...], ...] = ()
    counts: tuple[tuple[str, ...], ...] = ()
    text: bool = False
    facets: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        paths = (*self.single, *self.several)
        named = {path for group in (*self.orders, *self.counts, self.numbers) for path in group}
        unknown = (named - set(self.single)) | (set(self.facets) - set(paths))
        if len(paths) > MAXIMUM_DECLARED or len(set(paths)) < len(paths) or unknown:
            raise DocumentInvalid("The declared fields of a collection name one twice, or an order names another one.")
        if not all(DECLARED_PATH.fullmatch(path) for path in paths):
            raise DocumentInvalid("A declared field has no plain name, such as model.id.")

    def check_query(self, collection: str, query: Query) -> None:
        """Raise DocumentInvalid when a search asks for what was not declared."""
        searched = {*query.filters, *query.facets} - {*self.single, *self.several}
        searched |= {*query.ranges, *({query.sort} - {SCORE})} - set(self.single)
        if searched or (query.text.strip() and not self.text):
            what = ", ".join(sorted(searched)) or "its text"
            raise DocumentInvalid(f"The collection {collection} is not declared to be searched by {what}.")

    def check_body(self, body: Mapping[str, Any]) -> None:
        """Raise DocumentInvalid when a field of one value has several."""
        for path in self.single:
            if isinstance(value_at(body, path.split(".")), list):
                raise DocumentInvalid(f"The field {path} is declared to have one value, and is given a list.")


def first_value(page: Page, field: str) -> Scalar | None:
    """A field of the first document of a page, None without one."""
    return value_at(page.items[0].body, field.split(".")) if page.items else None


class Documents(Protocol):
    """Thread-safe, and shared by processes. Every method may raise `DocumentsUnavailable`; writes `DiskFull` too."""

    def declare(self, collection: str, fields: Fields) -> None:
        """Say what a collection is searched by, before it is used; what is in it already is indexed anew if need be.

        Afterwards a search by anything else, and a list in a field of one value, raises `DocumentInvalid`.
        """

    def create(self, collection: str, id: str, body: Mapping[str, Any]) -> Stored:
        """Store a new document; of several at once exactly one succeeds, the others raise `DocumentExists`."""

    def get(self, collection: str, id: str) -> Stored:
        """The document as it is now; raises `DocumentMissing`."""

    def replace(self, collection: str, id: str, body: Mapping[str, Any], revision: str, lasting: bool = True) -> Stored:
        """Store a new body if the document still has `revision`; raises `RevisionConflict` or `DocumentMissing`.

        Every reader sees it from now on, and no crash of a program undoes it. A power cut may undo one that is not
        `lasting`, unless a lasting write came after it: what can be done again is cheaper so.
        """

    def write(self, collection: str, writes: Sequence[Write], lasting: bool = True) -> list[Stored | UserError]:
        """As `create` and `replace` for several documents, quicker than one after another: what became of each.

        Each is for itself: DocumentExists, DocumentMissing or RevisionConflict stands in the place of what failed so.
        DocumentInvalid is raised before any is written; whatever else is raised, any of them may be written or not.
        """

    def delete(self, collection: str, id: str, revision: str | None = None) -> None:
        """Remove the document, if it still has `revision` when that is given; raises as `replace` does."""

    def search(self, collection: str, query: Query) -> Page:
        """The documents a query finds; raises `BadQuery`. A collection nothing was stored in is empty."""

    def edge(
        self, collection: str, field: str, filters: Mapping[str, Sequence[Scalar]], last: bool = False
    ) -> Scalar | None:
        """The least value of a field of one value in the documents that pass the filters, or the greatest (`last`).

        What a search sorted by the field finds first, at less cost: None when none has it.
        """

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
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
