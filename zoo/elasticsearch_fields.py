"""How the fields of documents stand in Elasticsearch, and the clauses that filter, count and sort by them.

Of most collections every value is indexed: as `<path>\\x1f<value>` in `values`, and nested in `fields` for ranges and
sorting. A collection that is declared to be searched (`Fields.text` or `Fields.facets`) has fields of its own for what
is declared: `facets.<path>`, `texts.<path>` and `numbers.<path>`, which are many times quicker to write and to sort by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from zoo.document_fields import MAXIMUM_VALUE, spelling, value_at, values
from zoo.documents import MAXIMUM_FACET_VALUES, Fields, Scalar

LARGEST_NUMBER = 1.7976931348623157e308
# Values longer than this, path included, are found by their words only.
LONGEST_VALUE = 1000

Clause = dict[str, Any]


def finite(number: float) -> float:
    """The number as far as a double of Elasticsearch goes, which knows no infinity."""
    return max(-LARGEST_NUMBER, min(LARGEST_NUMBER, number))


def limits_of(low: float | None, high: float | None) -> dict[str, float]:
    return {name: finite(float(limit)) for name, limit in (("gte", low), ("lte", high)) if limit is not None}


class AnyFields:
    """The fields of a collection of which every value is indexed."""

    properties: Mapping[str, Any] = MappingProxyType({})

    def parts(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent for a body's fields; raises DocumentInvalid."""
        found = sorted(values(body), key=lambda value: (value.path, value.word))
        fields = [
            {"path": value.path, "word": value.word}
            if value.number is None
            else {"path": value.path, "word": value.word, "number": finite(value.number)}
            for value in found
        ]
        return {"values": [f"{value.path}\x1f{value.word}" for value in found], "fields": fields}

    def any_of(self, path: str, chosen: Sequence[Scalar]) -> Clause:
        return {"terms": {"values": [f"{path}\x1f{spelling(value)}" for value in chosen]}}

    def within(self, path: str, low: float | None, high: float | None) -> Clause:
        within = [{"term": {"fields.path": path}}, {"range": {"fields.number": limits_of(low, high)}}]
        return {"nested": {"path": "fields", "query": {"bool": {"filter": within}}}}

    def counted(self, path: str) -> Clause:
        """The aggregation of a facet's values."""
        # Lucene's expressions have operators of their own, so everything but letters and digits is escaped.
        beginning = re.sub(r"([^\w])", r"\\\1", path, flags=re.ASCII)
        return {"field": "values", "include": f"{beginning}\x1f(.|\n)*", "size": MAXIMUM_FACET_VALUES}

    def value_of(self, key: str) -> str:
        """The value that a bucket of a facet is of."""
        return key.partition("\x1f")[2]

    def sorted_by(self, path: str, descending: bool) -> list[Clause]:
        """Numbers come before words, what lacks the field last."""
        order = "desc" if descending else "asc"
        of_field: Clause = {"term": {"fields.path": path}}
        no_number = {"bool": {"filter": of_field, "must_not": {"exists": {"field": "fields.number"}}}}
        number, word = (
            {f"fields.{name}": {"order": order, "mode": "max" if descending else "min", "missing": "_last",
                                "nested": {"path": "fields", "filter": chosen}}}
            for name, chosen in (("number", of_field), ("word", no_number))
        )  # fmt: skip
        return [word, number] if descending else [number, word]


class SearchedFields(AnyFields):
    """The fields of a collection that is declared to be searched."""

    def __init__(self, fields: Fields) -> None:
        self._lists = {path: path.split(".") for path in (*fields.several, *fields.facets)}
        self._single = {path: path.split(".") for path in fields.single}
        self._numbers = frozenset(fields.numbers)
        keyword = {"type": "keyword", "ignore_above": LONGEST_VALUE}
        self.properties = {
            "facets": {"properties": {_name(path): keyword for path in self._lists}},
            "texts": {"properties": {_name(path): keyword for path in self._single if path not in self._numbers}},
            "numbers": {"properties": {_name(path): {"type": "double"} for path in self._single}},
        }

    def parts(self, body: Mapping[str, Any]) -> dict[str, Any]:
        facets: dict[str, list[str]] = {}
        texts: dict[str, str] = {}
        numbers: dict[str, float] = {}
        for path, steps in self._lists.items():
            leaf = value_at(body, steps)
            listed = [spelling(one) for one in (leaf if isinstance(leaf, list) else [leaf]) if _is_value(one)]
            if listed:
                facets[_name(path)] = listed
        for path, steps in self._single.items():
            leaf = value_at(body, steps)
            if isinstance(leaf, int | float) and not isinstance(leaf, bool):
                numbers[_name(path)] = finite(float(max(-(10**308), min(10**308, leaf))))
            elif _is_value(leaf) and path not in self._numbers:
                texts[_name(path)] = spelling(leaf)
        return {"facets": facets, "texts": texts, "numbers": numbers}

    def any_of(self, path: str, chosen: Sequence[Scalar]) -> Clause:
        words = [spelling(value) for value in chosen]
        if path in self._lists:
            return {"terms": {f"facets.{_name(path)}": words}}
        either: list[Clause] = [{"terms": {f"texts.{_name(path)}": words}}] if path not in self._numbers else []
        figures = [float(word) for word in words if re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", word)]
        return {"bool": {"should": [*either, {"terms": {f"numbers.{_name(path)}": figures}}]}}

    def within(self, path: str, low: float | None, high: float | None) -> Clause:
        return {"range": {f"numbers.{_name(path)}": limits_of(low, high)}}

    def counted(self, path: str) -> Clause:
        kind = "facets" if path in self._lists else "texts"
        return {"field": f"{kind}.{_name(path)}", "size": MAXIMUM_FACET_VALUES}

    def value_of(self, key: str) -> str:
        return key

    def sorted_by(self, path: str, descending: bool) -> list[Clause]:
        order = {"order": "desc" if descending else "asc", "missing": "_last"}
        # An index that nobody wrote to since this was declared knows nothing of the fields.
        number = {f"numbers.{_name(path)}": order | {"unmapped_type": "double"}}
        word = [{f"texts.{_name(path)}": order | {"unmapped_type": "keyword"}}] if path not in self._numbers else []
        return [*word, number] if descending else [number, *word]


def fields_of(declared: Fields | None) -> AnyFields:
    """How the fields of a collection stand, by what was declared of it."""
    return SearchedFields(declared) if declared is not None and (declared.text or declared.facets) else AnyFields()


def _name(path: str) -> str:
    return path.replace(".", "__")


def _is_value(leaf: Any) -> bool:
    return isinstance(leaf, int | float) or (isinstance(leaf, str) and len(leaf) <= MAXIMUM_VALUE)
