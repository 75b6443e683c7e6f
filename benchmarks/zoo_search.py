"""Searches of a zoo with 100,000 made-up models and 10,000 records of the Cell Image Library, on either engine; and how
long the records take to import.

`python -m benchmarks.zoo_search` measures both engines (Elasticsearch: a server of its own, or --elasticsearch URL).
The searches are what people do, in turn: words, a beginning, a misspelt word, facets ticked, a range of pixel sizes,
every sort, later pages, records; each is made once, none is made beforehand but for those that open the collection.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.table import print_table, verdict
from benchmarks.zoo_documents import SIZES_UM, Made
from zoo.documents import SCORE, Documents, Query
from zoo.documents_sqlite import SqliteDocuments
from zoo.import_cil_command import import_records
from zoo.searched_fields import FACETS, LIBRARY, LIBRARY_FACETS, declare_searched
from zoo.shown_models import MODELS

SEARCH_LIMIT_MS, IMPORT_LIMIT_S = 50.0, 60.0
WRITERS = 8
PAGE = 24
SORTS = (("published_at", True), ("usage.tried", True), ("speed_s_per_mp", False), ("name", False))
ELASTICSEARCH_CACHE = Path(__file__).parents[1] / ".venv" / "elasticsearch"


def queries(made: Made) -> Iterator[tuple[str, str, Query]]:
    """What is searched for without end: its kind, the collection and the query."""
    pick = made.random

    def models(
        text: str = "", filters: Any = None, ranges: Any = None, sort: tuple[str, bool] | None = None, page: int = 1
    ) -> tuple[str, Query]:
        field, descending = sort or ((SCORE, True) if text else ("name", False))
        return MODELS, Query(text, filters or {}, FACETS, ranges or {}, field, descending, page, PAGE)

    def facet() -> dict[str, list[str]]:
        field = pick.choice(("structure", "organism", "modality"))
        return {f"about.{field}": [made.term(field)]}

    def size() -> dict[str, tuple[float | None, float | None]]:
        return {"pixel_size_um": (pick.choice(SIZES_UM[:5]), pick.choice(SIZES_UM[5:]))}

    while True:
        for sort in SORTS:
            word = made.text(1)
            yield "a word", *models(word)
            yield "two words", *models(f"{made.term('structure')} {word}")
            yield "a beginning", *models(made.text(1)[:4])
            yield (
                "a misspelt word",
                *models(made.misspelt(next(w for w in iter(lambda: made.text(1), "") if len(w) > 5))),
            )
            yield "a ticked facet", *models(filters=facet())
            yield "two ticked facets", *models(filters=facet() | {"about.task": ["instances", "detect"]}, sort=sort)
            yield "words, facets, sizes", *models(word, facet(), size(), sort)
            yield "pixel sizes", *models(ranges=size(), sort=sort)
            yield "everything, sorted", *models(sort=sort)
            yield "a later page", *models(filters={"licence": ["MIT", "CC0-1.0"]}, sort=sort, page=pick.randint(2, 40))
            yield "records", LIBRARY, Query(made.text(1), {}, LIBRARY_FACETS, size=PAGE)
            yield (
                "records, ticked",
                LIBRARY,
                Query(
                    "", {"organism": [made.term("organism")]}, LIBRARY_FACETS, sort="name", descending=False, size=PAGE
                ),
            )


def fill(documents: Documents, made: Made, count: int) -> float:
    """Store the models; returns the seconds it took."""
    started = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool:
        for numbers in (
            itertools.batched(range(count), 5000) if hasattr(itertools, "batched") else _batches(count, 5000)
        ):
            bodies = [made.model(number) for number in numbers]
            list(pool.map(lambda body: documents.create(MODELS, body["id"], body), bodies))
    return time.perf_counter() - started


def _batches(count: int, size: int) -> Iterator[range]:
    return (range(first, min(first + size, count)) for first in range(0, count, size))


def measure(name: str, documents: Documents, models: int, records: int, rounds: int) -> None:
    made = Made()
    declare_searched(documents)
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(made.write_records(Path(folder) / "records", records).iterdir())
        started = time.perf_counter()
        new, bad = import_records(documents, files)
        imported = time.perf_counter() - started
        assert (new, bad) == (records, [])
    filled = fill(documents, made, models)
    started = time.perf_counter()
    for collection in (MODELS, LIBRARY):
        documents.search(collection, Query(size=1))
    opened = time.perf_counter() - started
    took: dict[str, list[float]] = {}
    found = 0
    for kind, collection, query in itertools.islice(queries(made), rounds):
        started = time.perf_counter()
        page = documents.search(collection, query)
        took.setdefault(kind, []).append((time.perf_counter() - started) * 1000)
        found += page.total > 0
    everything = [one for times in took.values() for one in times]
    limit = SEARCH_LIMIT_MS
    rows = [
        (f"import of {records:,} records", f"{imported:.1f} s", verdict(imported, IMPORT_LIMIT_S, at_most=True)),
        (f"storing {models:,} models", f"{filled:.0f} s", f"{models / filled:,.0f} a second"),
        ("the first search of a process", f"{opened:.2f} s", ""),
        (f"p95 of {len(everything):,} searches", f"{p95(everything):.1f} ms",
         verdict(p95(everything), limit, at_most=True)),
        ("their median", f"{statistics.median(everything):.1f} ms", f"{found} found something"),
        ("the slowest", f"{max(everything):.1f} ms", ""),
        *((f"p95: {kind}", f"{p95(times):.1f} ms", f"median {statistics.median(times):.1f}")
          for kind, times in took.items()),
    ]  # fmt: skip
    print_table(f"{name}, {models:,} models and {records:,} records", rows)


def p95(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(0.95 * len(times)))]


@contextlib.contextmanager
def sqlite(_: str) -> Iterator[Documents]:
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(SqliteDocuments(Path(folder) / "documents.sqlite3")) as documents,
    ):
        yield documents


@contextlib.contextmanager
def elasticsearch(url: str) -> Iterator[Documents]:
    from zoo.documents_elasticsearch import ElasticDocuments
    from zoo.elasticsearch_server import running
    from zoo.identifiers import new_uuid

    with contextlib.nullcontext(url) if url else running(ELASTICSEARCH_CACHE) as server:
        documents = ElasticDocuments(server, prefix=f"benchmark-{new_uuid()}")
        try:
            yield documents
        finally:
            for index in documents.client.indices.get(index=f"{documents.prefix}-*", allow_no_indices=True).body:
                documents.client.indices.delete(index=index)
            documents.client.indices.delete_index_template(name=documents.prefix)
            documents.close()


ENGINES: dict[str, Callable[[str], contextlib.AbstractContextManager[Documents]]] = {
    "SQLite": sqlite,
    "Elasticsearch": elasticsearch,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=[*ENGINES], action="append", help="only this one")
    parser.add_argument(
        "--elasticsearch", default="", metavar="URL", help="a running server, rather than one of its own"
    )
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1200, help="searches made")
    parser.add_argument("--quick", action="store_true", help="few documents: shows that it runs, measures nothing")
    given = parser.parse_args()
    if given.quick:
        given.models, given.records, given.rounds = 300, 100, 48
    for name in given.engine or ENGINES:
        with ENGINES[name](given.elasticsearch) as documents:
            measure(name, documents, given.models, given.records, given.rounds)


if __name__ == "__main__":
    main()
