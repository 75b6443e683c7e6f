"""A search that found nothing: what was asked for in words, the model with the nearest pixel size, and what to drop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from web import lengths
from web.search_state import PIXEL_SIZE, SearchState
from zoo.documents import Page, Query

# (search, size, sort, descending) -> page; the facets of it are not asked for.
Find = Callable[[Query], Page]
WORDS_TRIED = 6
SUGGESTIONS = 4


@dataclass(frozen=True)
class Nearest:
    """`model` is the one whose pixels are nearest in size to those asked for, or None; its size is told in `pixels`.

    `ways` are searches that do find something: (what is left out, address, how many).
    """

    asked: str
    model: dict[str, Any] | None
    pixels: str
    ways: list[tuple[str, str, int]]


def nearest(state: SearchState, find: Find, labels: Callable[[str, str], str]) -> Nearest:
    """What helps a search that found nothing; `labels` says what a ticked value is called."""
    rest, size = lengths.in_words(state.text)
    if size is not None and not state.ranges:
        # "mitochondria 5 nm" was typed as words: the length is meant as a pixel size.
        told = lengths.said(size)
        state = state.but(text=rest, pixel_from=told, pixel_to=told, low=size, high=size)
    wanted = _wanted(state)
    model = None
    if wanted is not None:
        model = next(filter(None, (_nearest_size(one, wanted, find) for one in _of_any_size(state))), None)
    pixels = lengths.said(model[PIXEL_SIZE]) if model else ""
    return Nearest(asked_in_words(state, labels), model, pixels, _found(_relaxed(state, labels), find))


def asked_in_words(state: SearchState, labels: Callable[[str, str], str]) -> str:
    """Such as " at 5 nm for mitochondrion": what follows "No model"."""
    told = _sizes(state)
    values = [labels(field, value) for field, chosen in state.chosen.items() for value in chosen]
    words = [f"“{state.text.strip()}”"] if state.text.strip() else []
    return told + (f" for {', '.join([*words, *values])}" if words or values else "")


def _sizes(state: SearchState) -> str:
    low, high = state.low, state.high
    if low is not None and high is not None:
        return f" at {lengths.said(low)}" if low == high else f" from {lengths.said(low)} to {lengths.said(high)}"
    if low is not None:
        return f" of {lengths.said(low)} or more"
    return f" of {lengths.said(high)} or less" if high is not None else ""


def _of_any_size(state: SearchState) -> Iterator[SearchState]:
    """The search without its pixel sizes, then with ever less of the rest."""
    yield state.but(ranges=None)
    if state.text.strip() and state.chosen:
        yield state.but(ranges=None, chosen={})
    for word in _words(state):
        yield state.but(ranges=None, chosen={}, text=word)
    if state.text.strip():
        yield state.but(ranges=None, text="")


def _words(state: SearchState) -> list[str]:
    """The words that may find something alone, which numbers and units do not."""
    words = list(dict.fromkeys(state.text.split()))
    telling = [word for word in words if len(word) > 2 and word[0].isalpha()]
    return telling[:WORDS_TRIED] if len(words) > 1 else []


def _wanted(state: SearchState) -> float | None:
    """The middle of the pixel sizes asked for, as sizes go: by factors."""
    limits = [limit for limit in (state.low, state.high) if limit]
    return math.prod(limits) ** (1 / len(limits)) if limits else None


def _nearest_size(state: SearchState, wanted: float, find: Find) -> dict[str, Any] | None:
    found = []
    for limits, descending in (((None, wanted), True), ((wanted, None), False)):
        page = find(Query(
            state.text, state.filters, ranges={PIXEL_SIZE: limits}, sort=PIXEL_SIZE, descending=descending, size=1
        ))  # fmt: skip
        found += [item.body for item in page.items if item.body.get(PIXEL_SIZE)]
    return min(found, key=lambda body: abs(math.log(body[PIXEL_SIZE] / wanted)), default=None)


def _relaxed(state: SearchState, labels: Callable[[str, str], str]) -> Iterator[tuple[str, SearchState]]:
    """Searches that ask for less, the least loss first."""
    if state.ranges:
        yield "any pixel size", state.but(ranges=None)
    for field, values in state.chosen.items():
        for value in values:
            yield f"without {labels(field, value)}", state.without(field, value)
    for word in _words(state):
        yield f"only “{word}”", state.but(text=word)
    for word in _words(state) if state.ranges else []:
        yield f"only “{word}”, any pixel size", state.but(text=word, ranges=None)
    if state.text.strip() and state.narrowed:
        yield "the words alone", state.but(chosen={}, ranges=None)
        yield "the filters alone", state.but(text="")


def _found(relaxed: Iterable[tuple[str, SearchState]], find: Find) -> list[tuple[str, str, int]]:
    ways: list[tuple[str, str, int]] = []
    for what, state in relaxed:
        if len(ways) == SUGGESTIONS:
            break
        total = find(Query(state.text, state.filters, ranges=state.ranges, size=0, count_limit=1000)).total
        if total and state.address not in (address for _, address, _ in ways):
            ways.append((what, state.address, total))
    return ways
