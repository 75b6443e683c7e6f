"""What a search page was asked for: words, ticked values, pixel sizes, order and page; all of it is in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from flask import request

from web import lengths
from web.api import query
from web.json_body import BadField
from zoo.documents import MAXIMUM_FILTER_VALUES, MAXIMUM_RESULTS, SCORE
from zoo.errors import UserError

PIXEL_SIZE = "pixel_size_um"
PIXEL_FROM, PIXEL_TO = PIXEL_FIELDS = ("pixel_from", "pixel_to")
LONGEST_VALUE = 200


@dataclass(frozen=True)
class Kind:
    """A search page: its path, the fields that may be ticked, and its orders, {name: (label, descending)}."""

    path: str
    fields: tuple[str, ...]
    sorts: Mapping[str, tuple[str, bool]]


@dataclass(frozen=True)
class SearchState:
    """`pixel_from` and `pixel_to` are as typed; `problem` says what is wrong with them, which are then left out.

    `low` and `high` are the same in micrometres.
    """

    kind: Kind
    text: str = ""
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pixel_from: str = ""
    pixel_to: str = ""
    low: float | None = None
    high: float | None = None
    sort: str = SCORE
    page: int = 1
    problem: UserError | None = None

    @property
    def descending(self) -> bool:
        return self.kind.sorts[self.sort][1]

    @property
    def ranges(self) -> dict[str, tuple[float | None, float | None]]:
        return {} if self.low is None and self.high is None else {PIXEL_SIZE: (self.low, self.high)}

    @property
    def filters(self) -> dict[str, list[str]]:
        return {name: list(ticked) for name, ticked in self.chosen.items()}

    @property
    def narrowed(self) -> int:
        """How many filters are set, words aside."""
        return sum(map(len, self.chosen.values())) + bool(self.ranges)

    def but(self, **changes: Any) -> SearchState:
        """The same search with changes, from its first page; `ranges=None` takes the pixel sizes away."""
        if "ranges" in changes:
            changes = {key: value for key, value in changes.items() if key != "ranges"}
            changes |= {"pixel_from": "", "pixel_to": "", "low": None, "high": None, "problem": None}
        return replace(self, **({"page": 1} | changes))

    def without(self, path: str, value: str) -> SearchState:
        """The same search without a ticked value."""
        rest = {
            name: tuple(one for one in ticked if (name, one) != (path, value)) for name, ticked in self.chosen.items()
        }
        return self.but(chosen={name: ticked for name, ticked in rest.items() if ticked})

    @property
    def address(self) -> str:
        """The path and query that show this search."""
        asked: list[tuple[str, str]] = [("q", self.text)] if self.text.strip() else []
        asked += [(name, value) for name, ticked in self.chosen.items() for value in ticked]
        asked += [(PIXEL_FROM, self.pixel_from), (PIXEL_TO, self.pixel_to)]
        asked += [("sort", "" if self.sort == SCORE else self.sort), ("page", "" if self.page == 1 else str(self.page))]
        told = urlencode([(name, value) for name, value in asked if value])
        return f"{self.kind.path}?{told}" if told else self.kind.path


def read(kind: Kind) -> SearchState:
    """The search of this request. What makes no sense is as if it were not asked for; of pixel sizes it is told."""
    args = request.args
    chosen = {
        name: tuple(dict.fromkeys(value for value in args.getlist(name) if 0 < len(value) <= LONGEST_VALUE))
        for name in kind.fields
    }
    sort = args.get("sort", SCORE)
    page = args.get("page", "1")
    state = SearchState(
        kind,
        text=args.get("q", "")[: query.LONGEST_SEARCH],
        chosen={name: ticked[:MAXIMUM_FILTER_VALUES] for name, ticked in chosen.items() if ticked},
        pixel_from=args.get(PIXEL_FROM, "").strip()[:40],
        pixel_to=args.get(PIXEL_TO, "").strip()[:40],
        sort=sort if sort in kind.sorts else SCORE,
        page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 6 and int(page) > 0 else 1,
    )
    try:
        low, high = pixel_range(state.pixel_from, state.pixel_to)
    except UserError as error:
        return replace(state, problem=error)
    return replace(state, low=low, high=high)


def pixel_range(smallest: str, largest: str) -> tuple[float | None, float | None]:
    """The limits in micrometres of what was typed; raises BadLength, and BadField when none can lie between them."""
    low, high = lengths.micrometres(smallest), lengths.micrometres(largest)
    if low is not None and high is not None and low > high:
        raise BadField(
            f"No pixel is at least {lengths.said(low)} and at most {lengths.said(high)}.", "Exchange the two sizes."
        )
    return low, high


def asked_ranges() -> dict[str, tuple[float | None, float | None]]:
    """The pixel sizes of a request of the API, as a query takes them; raises BadLength and BadField."""
    low, high = pixel_range(*(request.args.get(name, "") for name in PIXEL_FIELDS))
    return {} if low is None and high is None else {PIXEL_SIZE: (low, high)}


def titled(state: SearchState, what: str) -> str:
    """The title of a search page, by which it is found again in a browser's history."""
    return f"{' '.join(state.text.split())[:80]} · {what}" if state.text.strip() else what


def last_page(total: int, size: int) -> int:
    """The last page that is served of so many results."""
    return max(1, min(-(-total // size), MAXIMUM_RESULTS // size))
