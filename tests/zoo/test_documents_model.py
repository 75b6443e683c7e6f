"""The SQLite engine against a dict: random writes and random queries give what a plain loop over the bodies gives."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from zoo.documents import (
    DocumentExists,
    DocumentMissing,
    Fields,
    Page,
    Query,
    RevisionConflict,
    Stored,
)
from zoo.documents_sqlite import SqliteDocuments

WORDS = ["cell", "cells", "Zelle", "zellé", "em", "x"]
TYPED = ["cell", "zell", "ZELLE", "e", "y", "!", "celsl", "zelle7", "vell"]
IDS = ["a", "b", "c", "d"]
PATHS = ["name", "tags", "n", "deep.n", "deep.name"]

names = st.sampled_from(WORDS)
numbers = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -1.5, 2.0]))
leaves = st.one_of(names, numbers, st.booleans(), st.none())
bodies = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(names, st.tuples(names, names).map(" ".join)),
        "tags": st.lists(leaves, max_size=3),
        "n": leaves,
        "deep": st.one_of(
            st.fixed_dictionaries({}, optional={"n": numbers, "name": names}),
            st.lists(st.fixed_dictionaries({"n": numbers}), max_size=2),
        ),
    },
)
limits = st.one_of(st.none(), st.integers(-2, 2))
queries = st.builds(
    Query,
    text=st.one_of(st.just(""), st.lists(st.sampled_from(TYPED), max_size=2).map(" ".join)),
    filters=st.dictionaries(st.sampled_from(PATHS), st.lists(st.one_of(names, numbers, st.booleans())), max_size=2),
    facets=st.lists(st.sampled_from(PATHS), unique=True, max_size=2),
    ranges=st.dictionaries(st.sampled_from(PATHS), st.tuples(limits, limits), max_size=1),
    sort=st.sampled_from(["id_is_no_field", *PATHS]),
    descending=st.booleans(),
    page=st.integers(1, 3),
    size=st.integers(1, 3),
)  # fmt: skip


def leaves_at(body: Any, path: list[str]) -> list[Any]:
    if isinstance(body, list):
        return [leaf for item in body for leaf in leaves_at(item, path)]
    if not path:
        return [] if body is None or isinstance(body, dict) else [body]
    return leaves_at(body[path[0]], path[1:]) if isinstance(body, dict) and path[0] in body else []


def is_number(leaf: Any) -> bool:
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else value


def strings(body: Any) -> list[str]:
    if isinstance(body, str):
        return body.lower().replace("é", "e").split()
    children = body.values() if isinstance(body, dict) else body if isinstance(body, list) else []
    return [word for child in children for word in strings(child)]


def says(id: str, body: Any, text: str, anywhere: set[str]) -> bool:
    """Whether the words are there; "!" alone is no word, and finds nothing. `anywhere` are the words there are."""
    words = text.lower().replace("!", "").split()
    if text.strip() and not words:
        return False
    present = {id, *strings(body)}
    return all(present & meanings(word, anywhere, word_is_last) for word, word_is_last in with_last(words))


def with_last(words: list[str]) -> list[tuple[str, bool]]:
    return [(word, number == len(words) - 1) for number, word in enumerate(words)]


def meanings(word: str, anywhere: set[str], last: bool) -> set[str]:
    """The words of a collection that a typed one stands for."""
    exact = {known for known in anywhere if known == word or (last and known.startswith(word))}
    if exact or len(word) < 4:
        return exact
    allowed = 2 if len(word) >= 8 else 1
    return {known for known in anywhere if known[0] == word[0] and differences(word, known) <= allowed}


def differences(one: str, other: str) -> int:
    """Letters left out, added, changed or swapped with their neighbour (optimal string alignment)."""
    if not one or not other:
        return len(one) + len(other)
    found = min(
        differences(one[1:], other) + 1,
        differences(one, other[1:]) + 1,
        differences(one[1:], other[1:]) + (one[0] != other[0]),
    )
    if len(one) > 1 and len(other) > 1 and one[0] == other[1] and one[1] == other[0]:
        found = min(found, differences(one[2:], other[2:]) + 1)
    return found


def fits(body: Any, query: Query, leaving_out: str = "") -> bool:
    for path, values in query.filters.items():
        allowed = {spelled(value) for value in values}
        if (
            values
            and path != leaving_out
            and not allowed & {spelled(leaf) for leaf in leaves_at(body, path.split("."))}
        ):
            return False
    for path, (low, high) in query.ranges.items():
        figures = [
            n for n in leaves_at(body, path.split(".")) if isinstance(n, int | float) and not isinstance(n, bool)
        ]
        inside = [n for n in figures if (low is None or n >= low) and (high is None or n <= high)]
        if not inside and not (low is None and high is None):
            return False
    return True


def sort_keys(body: Any, path: str) -> list[tuple[int, float, str]]:
    """Numbers before words, booleans among the words."""
    keys = []
    for leaf in leaves_at(body, path.split(".")):
        keys.append((0, float(leaf), "") if is_number(leaf) else (1, 0.0, spelled(leaf)))
    return keys


def plain_search(bodies: dict[str, Any], revisions: dict[str, str], query: Query) -> Page:
    anywhere = {word for id, body in bodies.items() for word in (id, *strings(body))}
    said = {id: body for id, body in bodies.items() if says(id, body, query.text, anywhere)}
    order = sorted(id for id, body in said.items() if fits(body, query))
    keys = {id: sort_keys(bodies[id], query.sort) for id in order}
    have = [id for id in order if keys[id]]
    if query.descending:
        have.sort(key=lambda id: max(keys[id]), reverse=True)
    else:
        have.sort(key=lambda id: min(keys[id]))
    order = have + [id for id in order if not keys[id]]
    facets = {}
    for path in query.facets:
        counts = Counter(
            word
            for body in said.values()
            if fits(body, query, leaving_out=path)
            for word in {spelled(leaf) for leaf in leaves_at(body, path.split("."))}
        )
        facets[path] = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    start = (query.page - 1) * query.size
    shown = [Stored(id, bodies[id], revisions[id]) for id in order[start : start + query.size]]
    return Page(shown, len(order), facets)


class DocumentsAgainstDict(RuleBasedStateMachine):
    revisions = Bundle("revisions")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "documents.sqlite3"
        self.documents = SqliteDocuments(self.file)
        self.bodies: dict[str, Any] = {}
        self.current: dict[str, str] = {}

    def teardown(self) -> None:
        self.documents.close()
        self.folder.cleanup()

    @rule(target=revisions, id=st.sampled_from(IDS), body=bodies)
    def create(self, id: str, body: dict[str, Any]) -> str:
        return self._create(id, body)

    def _create(self, id: str, body: dict[str, Any]) -> str:
        try:
            stored = self.documents.create("things", id, body)
        except DocumentExists:
            assert id in self.bodies
            return self.current[id]
        assert id not in self.bodies
        return self._keep(stored, body)

    @rule(target=revisions, id=st.sampled_from(IDS), body=bodies, revision=revisions)
    def replace_with_any_revision(self, id: str, body: dict[str, Any], revision: str) -> str:
        return self._replace(id, body, revision)

    @rule(target=revisions, id=st.sampled_from(IDS), body=bodies)
    def replace_with_the_current_revision(self, id: str, body: dict[str, Any]) -> str:
        return self._replace(id, body, self.current.get(id, "none"))

    @rule(id=st.sampled_from(IDS), revision=st.one_of(st.none(), consumes(revisions)))
    def delete(self, id: str, revision: str | None) -> None:
        try:
            self.documents.delete("things", id, revision)
        except DocumentMissing:
            assert id not in self.bodies
        except RevisionConflict:
            assert revision not in (None, self.current[id])
        else:
            assert revision in (None, self.current[id])
            del self.bodies[id], self.current[id]

    @rule()
    def restart(self) -> None:
        self.documents.close()
        self.documents = SqliteDocuments(self.file)

    @rule(query=queries)
    def search(self, query: Query) -> None:
        self._search(self.documents, query)

    def _search(self, documents: SqliteDocuments, query: Query) -> None:
        found = documents.search("things", query)
        expected = plain_search(self.bodies, self.current, query)
        assert found == expected
        assert {path: list(counts) for path, counts in found.facets.items()} == {
            path: list(counts) for path, counts in expected.facets.items()
        }

    @invariant()
    def every_document_is_as_it_was_written(self) -> None:
        for id in IDS:
            with contextlib.suppress(DocumentMissing):
                assert self.documents.get("things", id) == Stored(id, self.bodies.get(id, {}), self.current.get(id, ""))
                continue
            assert id not in self.bodies

    def _replace(self, id: str, body: dict[str, Any], revision: str) -> str:
        try:
            stored = self.documents.replace("things", id, body, revision)
        except DocumentMissing:
            assert id not in self.bodies
            return revision
        except RevisionConflict:
            assert self.current[id] != revision
            return revision
        assert self.current[id] == revision
        return self._keep(stored, body)

    def _keep(self, stored: Stored, body: dict[str, Any]) -> str:
        assert stored.revision not in self.current.values()
        self.bodies[stored.id] = body
        self.current[stored.id] = stored.revision
        return stored.revision


TestDocumentsAgainstDict = DocumentsAgainstDict.TestCase
TestDocumentsAgainstDict.settings = settings(max_examples=30, stateful_step_count=25)


@given(
    written=st.lists(bodies, min_size=4, max_size=10), asked=st.lists(queries, min_size=4, max_size=4), data=st.data()
)
def test_searches_of_many_documents(written: list[dict[str, Any]], asked: list[Query], data: Any) -> None:
    """As above with more to find: filters take their values from what was written."""
    with tempfile.TemporaryDirectory() as folder:
        documents = SqliteDocuments(Path(folder) / "documents.sqlite3")
        bodies = {f"id{number}": body for number, body in enumerate(written)}
        revisions = {id: documents.create("things", id, body).revision for id, body in bodies.items()}
        for query in asked:
            path = data.draw(st.sampled_from(PATHS))
            present = [leaf for body in written for leaf in leaves_at(body, path.split("."))]
            filters = {path: [data.draw(st.sampled_from(present))]} if present else {}
            figures = [leaf for leaf in present if is_number(leaf)]
            ranges = {path: (data.draw(st.sampled_from(figures)), None)} if figures else {}
            for fuller in (
                query,
                replace(query, text="", filters=filters, ranges=ranges, facets=PATHS, size=20, page=1),
            ):
                found, expected = documents.search("things", fuller), plain_search(bodies, revisions, fuller)
                assert found == expected
                assert [list(counts) for counts in found.facets.values()] == [
                    list(counts) for counts in expected.facets.values()
                ]
        documents.close()


# The same law for a collection declared to be searched, whose fields are of one kind each.
SEARCHED = Fields(
    single=("name", "kind", "n", "deep.m"), several=("tags",), orders=(("name",),), text=True,
    facets=("kind", "tags"), numbers=("n", "deep.m"),
)  # fmt: skip
FACETED = ["kind", "tags"]
plain_bodies = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(names, st.tuples(names, names).map(" ".join)),
        "kind": names,
        "tags": st.lists(names, max_size=3),
        "n": st.one_of(numbers, st.none()),
        "deep": st.fixed_dictionaries({}, optional={"m": numbers}),
    },
)
searches = st.builds(
    Query,
    text=st.one_of(st.just(""), st.lists(st.sampled_from(TYPED), max_size=2).map(" ".join)),
    filters=st.dictionaries(st.sampled_from(["name", *FACETED]), st.lists(names, max_size=2), max_size=2),
    facets=st.lists(st.sampled_from(FACETED), unique=True, max_size=2),
    ranges=st.dictionaries(st.sampled_from(["n", "deep.m"]), st.tuples(limits, limits), max_size=2),
    sort=st.sampled_from(["name", "kind", "n", "deep.m"]),
    descending=st.booleans(),
    page=st.integers(1, 3),
    size=st.integers(1, 3),
)


class SearchedAgainstDict(DocumentsAgainstDict):
    """Every search is answered by one of two engines on the file, neither of which knows what the other wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.documents.declare("things", SEARCHED)
        self.other = SqliteDocuments(self.file)

    def teardown(self) -> None:
        self.other.close()
        super().teardown()

    @rule(target=DocumentsAgainstDict.revisions, id=st.sampled_from(IDS), body=plain_bodies)
    def create(self, id: str, body: dict[str, Any]) -> str:
        return self._create(id, body)

    @rule(target=DocumentsAgainstDict.revisions, id=st.sampled_from(IDS), body=plain_bodies)
    def replace_with_any_revision(self, id: str, body: dict[str, Any], revision: str = "") -> str:
        return self._replace(id, body, revision)

    @rule(target=DocumentsAgainstDict.revisions, id=st.sampled_from(IDS), body=plain_bodies)
    def replace_with_the_current_revision(self, id: str, body: dict[str, Any]) -> str:
        return self._replace(id, body, self.current.get(id, "none"))

    @rule(query=searches, of_other=st.booleans())
    def search(self, query: Query, of_other: bool = False) -> None:
        self._search(self.other if of_other else self.documents, query)


TestSearchedAgainstDict = SearchedAgainstDict.TestCase
TestSearchedAgainstDict.settings = settings(max_examples=30, stateful_step_count=25)
