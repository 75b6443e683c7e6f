"""What every documents engine has to do. A subclass gives the fixture `documents`: an empty engine whose searches see
every write at once."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest

from zoo.document_fields import DocumentInvalid
from zoo.documents import (
    MAXIMUM_PAGE_SIZE,
    MAXIMUM_QUERY_TEXT,
    BadQuery,
    DocumentExists,
    DocumentMissing,
    Documents,
    Fields,
    Page,
    Query,
    RevisionConflict,
    Stored,
    Write,
)

# What people type, and what they should not be able to break a search with.
ODD_TEXTS = [
    '"', '""', "'", "*", "a OR", "OR", "AND AND", "NOT", "NEAR(a b)", "^a", "a:b", "name:cell", "{", "(", ")", "-",
    "--", "+a", "a*b", "*:*", "\\", "%", "_", "\x00", "a\x00b", "\n", "\ud800", "e\u0301", "ﬁ", "İ", "\u0661\u0662",
    "\U0001d49c", "💥", "; DROP TABLE",
]  # fmt: skip

MODELS: dict[str, dict[str, Any]] = {
    "nuclei": {
        "name": "Cell nuclei",
        "description": "Zellkérne in fluorescence",
        "tags": ["nuclei", "2d"],
        "head": {"kind": "watershed-instances"},
        "scores": [{"metric": "AP", "value": 0.81}, {"metric": "F1", "value": 0.9}],
        "pixel_size_um": 0.65,
        "open": True,
    },
    "mitochondria": {
        "name": "Mitochondria",
        "description": "In electron microscopy, beside nuclei",
        "tags": ["em", "2d"],
        "head": {"kind": "probability-mask"},
        "scores": [{"metric": "Dice", "value": 0.86}],
        "pixel_size_um": 0.0046,
        "open": False,
    },
    "membranes": {
        "name": "Membranes",
        "description": "Electron microscopy",
        "tags": ["em"],
        "head": {"kind": "probability-mask"},
        "pixel_size_um": 1,
        "open": True,
    },
}


def ids(page: Page) -> list[str]:
    return [item.id for item in page.items]


class DocumentsContract:
    @pytest.fixture
    def documents(self) -> Documents:
        raise NotImplementedError

    @pytest.fixture
    def models(self, documents: Documents) -> Documents:
        for id, body in MODELS.items():
            documents.create("models", id, body)
        return documents

    # Reading and writing.

    def test_what_is_created_is_read_back(self, documents: Documents) -> None:
        body = {"text": "é 💥 \x00", "list": [1, 2.5, None, True, {"a": []}], "big": 2**60, "empty": {}}
        stored = documents.create("things", "a", body)
        assert (stored.id, stored.body) == ("a", body)
        assert documents.get("things", "a") == stored

    def test_stored_bodies_are_not_the_callers(self, documents: Documents) -> None:
        body = {"list": [1]}
        stored = documents.create("things", "a", body)
        body["list"].append(2)
        stored.body["list"].append(3)
        assert documents.get("things", "a").body == {"list": [1]}

    def test_an_id_is_taken_once_in_each_collection(self, documents: Documents) -> None:
        documents.create("things", "a", {"n": 1})
        with pytest.raises(DocumentExists) as caught:
            documents.create("things", "a", {"n": 2})
        assert caught.value.status == 409
        documents.create("others", "a", {"n": 3})
        assert documents.get("things", "a").body == {"n": 1}
        assert documents.get("others", "a").body == {"n": 3}

    @pytest.mark.parametrize("id", ["b", "", "\ud800", "a\x00", "x" * 1000])
    def test_what_is_not_there_is_missing(self, documents: Documents, id: str) -> None:
        stored = documents.create("things", "a", {})
        for attempt in (
            lambda: documents.get("things", id),
            lambda: documents.delete("things", id),
            lambda: documents.get("nothing", id),
        ):
            with pytest.raises(DocumentMissing) as caught:
                attempt()
            assert caught.value.status == 404
        if id == "b":
            with pytest.raises(DocumentMissing):
                documents.replace("things", id, {}, stored.revision)

    def test_a_replace_needs_the_current_revision(self, documents: Documents) -> None:
        first = documents.create("things", "a", {"n": 1})
        second = documents.replace("things", "a", {"n": 2}, first.revision)
        assert second.revision != first.revision
        with pytest.raises(RevisionConflict) as caught:
            documents.replace("things", "a", {"n": 3}, first.revision)
        assert caught.value.status == 409
        assert documents.get("things", "a") == second

    def test_the_same_body_again_is_a_new_revision(self, documents: Documents) -> None:
        first = documents.create("things", "a", {"n": 1})
        assert documents.replace("things", "a", {"n": 1}, first.revision).revision != first.revision

    def test_a_revision_never_comes_back(self, documents: Documents) -> None:
        first = documents.create("things", "a", {"n": 1})
        documents.delete("things", "a")
        documents.create("things", "a", {"n": 1})
        with pytest.raises(RevisionConflict):
            documents.replace("things", "a", {"n": 2}, first.revision)
        with pytest.raises(RevisionConflict):
            documents.delete("things", "a", first.revision)

    def test_delete_takes_a_document_out_of_everything(self, models: Documents) -> None:
        with pytest.raises(RevisionConflict):
            models.delete("models", "nuclei", "another revision")
        models.delete("models", "nuclei", models.get("models", "nuclei").revision)
        with pytest.raises(DocumentMissing):
            models.get("models", "nuclei")
        page = models.search("models", Query(facets=["tags"]))
        assert page.total == 2
        assert page.facets == {"tags": {"em": 2, "2d": 1}}
        assert models.search("models", Query(text="fluorescence")).total == 0

    @pytest.mark.parametrize(
        "body",
        [{"n": math.nan}, {"n": math.inf}, {"s": "\ud800"}, {"o": object()}, {"s": "x" * (6 * 2**20)}],
        ids=["nan", "infinity", "half a surrogate pair", "object", "too large"],
    )
    def test_what_no_engine_can_hold_is_refused(self, documents: Documents, body: dict[str, Any]) -> None:
        with pytest.raises(DocumentInvalid):
            documents.create("things", "a", body)
        stored = documents.create("things", "a", {"n": 1})
        with pytest.raises(DocumentInvalid):
            documents.replace("things", "a", body, stored.revision)
        assert documents.get("things", "a") == stored

    def test_a_body_nested_too_deep_is_refused_and_leaves_nothing(self, documents: Documents) -> None:
        body: dict[str, Any] = {}
        for _ in range(200):
            body = {"a": body}
        with pytest.raises(DocumentInvalid):
            documents.create("things", "a", body)
        with pytest.raises(DocumentMissing):
            documents.get("things", "a")

    @pytest.mark.parametrize("collection", ["", "Things", "a-b", "a b", "a;b", "1a", "a" * 100])
    def test_names_of_collections_are_plain(self, documents: Documents, collection: str) -> None:
        with pytest.raises(DocumentInvalid):
            documents.create(collection, "a", {})
        with pytest.raises(DocumentInvalid):
            documents.search(collection, Query())

    # Several at once.

    def test_of_several_writes_each_is_for_itself(self, documents: Documents) -> None:
        old = documents.create("things", "old", {"n": 1})
        stale = documents.create("things", "stale", {"n": 1})
        documents.replace("things", "stale", {"n": 2}, stale.revision)
        gone = documents.create("things", "gone", {})
        documents.delete("things", "gone")
        outcomes = documents.write(
            "things",
            [
                Write("new", {"n": 1}),
                Write("old", {"n": 2}, old.revision),
                Write("old", {"n": 3}),
                Write("stale", {"n": 3}, stale.revision),
                Write("gone", {"n": 3}, gone.revision),
                Write("new", {"n": 3}),
            ],
        )
        assert [type(outcome) for outcome in outcomes] == [
            Stored, Stored, DocumentExists, RevisionConflict, DocumentMissing, DocumentExists,
        ]  # fmt: skip
        assert outcomes[:2] == [documents.get("things", "new"), documents.get("things", "old")]
        bodies = {id: documents.get("things", id).body["n"] for id in ("new", "old", "stale")}
        assert bodies == {"new": 1, "old": 2, "stale": 2}
        assert documents.write("things", []) == []

    def test_a_write_that_knows_what_was_there_is_found_by_what_is_there_now(self, documents: Documents) -> None:
        documents.declare("tasks", Fields(single=("state",), several=("tags",), orders=(("state",),)))
        before = {"state": "queued", "tags": ["a", "b"]}
        stored = documents.create("tasks", "x", before)
        after = {"state": "done", "tags": ["b", "c"]}
        documents.write("tasks", [Write("x", after, stored.revision, before)])
        found = [
            documents.search("tasks", Query(filters={field: [value]})).total
            for field, value in (("state", "queued"), ("state", "done"), ("tags", "a"), ("tags", "b"), ("tags", "c"))
        ]
        assert found == [0, 1, 0, 1, 1]

    def test_of_many_writes_to_a_declared_collection_each_is_for_itself(self, documents: Documents) -> None:
        documents.declare("tasks", Fields(single=("state", "n"), several=("tags",), orders=(("state", "n"),)))
        first = [Write(f"t{n}", {"state": "queued", "n": n, "tags": ["a", f"b{n % 3}"]}) for n in range(77)]
        stored = documents.write("tasks", first)
        assert [one.id for one in stored if isinstance(one, Stored)] == [one.id for one in first]
        moved = documents.replace("tasks", "t5", {"state": "held", "n": 5}, _revision(stored[5]))
        documents.delete("tasks", "t6")
        again = [
            Write(one.id, {"state": "done", "n": n, "tags": ["c"]}, _revision(stored[n]), one.body)
            for n, one in enumerate(first[:10])
        ]
        outcomes = documents.write("tasks", [*again, Write("t11", {}), Write("new", {"state": "queued"})])
        kinds = [type(one) for one in outcomes]
        assert kinds == [*[Stored] * 5, RevisionConflict, DocumentMissing, *[Stored] * 3, DocumentExists, Stored]
        assert [one for one in outcomes if isinstance(one, Stored)] == [
            documents.get("tasks", one.id) for one in outcomes if isinstance(one, Stored)
        ]
        assert documents.get("tasks", "t5") == moved

        def total(field: str, value: str) -> int:
            return documents.search("tasks", Query(filters={field: [value]}, size=0)).total

        assert {state: total("state", state) for state in ("queued", "held", "done")} == {
            "queued": 68, "held": 1, "done": 8,
        }  # fmt: skip
        assert {tag: total("tags", tag) for tag in ("a", "b0", "c")} == {"a": 67, "b0": 22, "c": 8}
        ordered = documents.search("tasks", Query(filters={"state": ["done"]}, sort="n", descending=False)).items
        assert [one.body["n"] for one in ordered] == [0, 1, 2, 3, 4, 7, 8, 9]

    def test_one_write_that_no_engine_can_hold_keeps_all_from_being_written(self, documents: Documents) -> None:
        documents.declare("tasks", Fields(single=("state",), several=("tags",), orders=(("state",),)))
        for wrong in ({"state": math.nan}, {"state": ["a list"]}):
            with pytest.raises(DocumentInvalid):
                documents.write("tasks", [Write("a", {"state": "queued"}), Write("b", wrong)])
            with pytest.raises(DocumentMissing):
                documents.get("tasks", "a")

    def test_of_threads_that_create_one_succeeds(self, documents: Documents) -> None:
        assert self._race(lambda number: documents.create("things", "a", {"n": number})) == [DocumentExists] * 7

    def test_of_threads_that_replace_one_succeeds(self, documents: Documents) -> None:
        revision = documents.create("things", "a", {"n": -1}).revision
        lost = self._race(lambda number: documents.replace("things", "a", {"n": number}, revision))
        assert lost == [RevisionConflict] * 7

    def test_increments_of_threads_are_all_kept(self, documents: Documents) -> None:
        documents.create("things", "a", {"n": 0})

        def increment(_: int) -> None:
            for _ in range(5):
                while True:
                    stored = documents.get("things", "a")
                    try:
                        documents.replace("things", "a", {"n": stored.body["n"] + 1}, stored.revision)
                        break
                    except RevisionConflict:
                        continue

        assert self._race(increment, threads=4) == []
        assert documents.get("things", "a").body == {"n": 20}

    def _race(self, act: Any, threads: int = 8) -> list[type[Exception]]:
        """Run `act(number)` in threads at once; returns the types of what was raised."""
        barrier = threading.Barrier(threads)
        raised: list[type[Exception]] = []

        def run(number: int) -> None:
            barrier.wait()
            try:
                act(number)
            except Exception as error:
                raised.append(type(error))

        running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return raised

    # Searching.

    def test_a_total_can_be_asked_for_alone_and_no_higher_than_needed(self, models: Documents) -> None:
        assert models.search("models", Query(size=0)) == Page([], 3, {})
        assert models.search("models", Query(filters={"tags": ["em"]}, size=0, count_limit=1)).total == 1
        page = models.search("models", Query(text="nuclei", count_limit=1))
        assert (len(page.items), page.total) == (2, 1)
        assert models.search("models", Query(count_limit=0)).total == 0

    def test_the_edges_of_a_field(self, models: Documents) -> None:
        assert models.edge("models", "pixel_size_um", {}) == 0.0046
        assert models.edge("models", "pixel_size_um", {"tags": ["em"]}, last=True) == 1
        assert models.edge("models", "pixel_size_um", {"tags": ["none"]}) is None
        assert models.edge("models", "absent", {}, last=True) is None

    def test_an_empty_collection_is_empty(self, documents: Documents) -> None:
        assert documents.search("models", Query(text="a", facets=["tags"])) == Page([], 0, {"tags": {}})

    def test_no_query_finds_everything_by_id(self, models: Documents) -> None:
        page = models.search("models", Query())
        assert ids(page) == ["membranes", "mitochondria", "nuclei"]
        assert page.items[2].body == MODELS["nuclei"]
        assert page.items[2].revision == models.get("models", "nuclei").revision

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("nuclei", {"nuclei", "mitochondria"}),
            ("NUCLEI electron", {"mitochondria"}),
            ("zellkerne", {"nuclei"}),
            ("ZELLKÉRNE", {"nuclei"}),
            ("fluor", {"nuclei"}),
            ("fluor cell", set()),
            ("cell fluor", {"nuclei"}),
            ("watershed-inst", {"nuclei"}),
            ("ap", {"nuclei"}),
            ("  ", {"nuclei", "mitochondria", "membranes"}),
            ("clei", set()),
        ],
    )
    def test_text_finds_words_and_the_beginning_of_the_last(self, models: Documents, text: str, found: set) -> None:
        assert set(ids(models.search("models", Query(text=text)))) == found

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("nuclie", {"nuclei", "mitochondria"}),
            ("nucleii fluorescence", {"nuclei"}),
            ("Fluoresence", {"nuclei"}),
            ("mitohcondira", {"mitochondria"}),
            ("membarnes mitochondria", set()),
            ("elektron mitochondria", {"mitochondria"}),
            ("elektrno mitochondria", {"mitochondria"}),
            ("huclei", set()),
            ("cel", {"nuclei"}),
            ("cal", set()),
            ("ems", set()),
            ("nuclei brightfield", set()),
        ],
    )
    def test_a_word_that_is_nowhere_is_taken_for_a_misspelt_one(self, models: Documents, text: str, found: set) -> None:
        page = models.search("models", Query(text=text, facets=["tags"]))
        assert (set(ids(page)), page.total) == (found, len(found))
        assert sum(page.facets["tags"].values()) == sum(len(MODELS[id]["tags"]) for id in found)

    def test_misspelt_words_are_taken_so_under_filters_too(self, models: Documents) -> None:
        assert ids(models.search("models", Query(text="nuclie", filters={"open": [False]}))) == ["mitochondria"]
        assert models.search("models", Query(text="nuclei", filters={"tags": ["none"]})).total == 0
        # The word is there, though not where the filter looks: it is not taken for another one.
        models.create("models", "near", {"name": "Nuclea", "tags": ["near"]})
        assert models.search("models", Query(text="nuclei", filters={"tags": ["near"]})).total == 0

    def test_a_name_counts_more_than_a_mention(self, models: Documents) -> None:
        assert ids(models.search("models", Query(text="nuclei"))) == ["nuclei", "mitochondria"]
        assert ids(models.search("models", Query(text="nuclei", descending=False))) == ["mitochondria", "nuclei"]

    def test_text_follows_a_replace(self, models: Documents) -> None:
        stored = models.get("models", "membranes")
        models.replace("models", "membranes", stored.body | {"description": "Light sheets"}, stored.revision)
        assert ids(models.search("models", Query(text="electron"))) == ["mitochondria"]
        assert ids(models.search("models", Query(text="light"))) == ["membranes"]

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_odd_text_is_only_text(self, models: Documents, text: str) -> None:
        models.create("models", "odd", {"text": f"x {text.encode('utf-8', 'ignore').decode()} y"})
        page = models.search("models", Query(text=text, facets=["tags"]))
        assert page.total == len(page.items)

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ({"tags": ["em"]}, {"mitochondria", "membranes"}),
            ({"tags": ["em", "nuclei"]}, {"nuclei", "mitochondria", "membranes"}),
            ({"tags": ["em"], "open": [True]}, {"membranes"}),
            ({"tags": []}, {"nuclei", "mitochondria", "membranes"}),
            ({"head.kind": ["probability-mask"]}, {"mitochondria", "membranes"}),
            ({"scores.metric": ["F1"]}, {"nuclei"}),
            ({"pixel_size_um": [1]}, {"membranes"}),
            ({"pixel_size_um": ["1"]}, {"membranes"}),
            ({"pixel_size_um": [1.0, 0.0046]}, {"membranes", "mitochondria"}),
            ({"open": ["true"]}, {"nuclei", "membranes"}),
            ({"tags": ["EM"]}, set()),
            ({"tags": ["e"]}, set()),
            ({"absent": ["a"]}, set()),
            ({"tags": ["' OR 1=1 --"]}, set()),
            ({"head": ["probability-mask"]}, set()),
        ],
    )
    def test_filters(self, models: Documents, filters: dict, found: set) -> None:
        page = models.search("models", Query(filters=filters))
        assert set(ids(page)) == found
        assert page.total == len(found)

    @pytest.mark.parametrize(
        ("ranges", "found"),
        [
            ({"pixel_size_um": (0.0046, 0.65)}, {"nuclei", "mitochondria"}),
            ({"pixel_size_um": (0.65, None)}, {"nuclei", "membranes"}),
            ({"pixel_size_um": (None, 0.01)}, {"mitochondria"}),
            ({"scores.value": (0.9, None)}, {"nuclei"}),
            ({"scores.value": (0.82, 0.85)}, set()),
            ({"name": (None, 5)}, set()),
            ({"absent": (None, None)}, {"nuclei", "mitochondria", "membranes"}),
        ],
    )
    def test_ranges(self, models: Documents, ranges: dict, found: set) -> None:
        assert set(ids(models.search("models", Query(ranges=ranges)))) == found

    def test_a_facet_is_counted_under_every_filter_but_its_own(self, models: Documents) -> None:
        query = Query(filters={"tags": ["nuclei"], "open": [True]}, facets=["tags", "open", "head.kind", "absent"])
        assert models.search("models", query).facets == {
            "tags": {"2d": 1, "em": 1, "nuclei": 1},
            "open": {"true": 1},
            "head.kind": {"watershed-instances": 1},
            "absent": {},
        }

    def test_facets_are_counted_under_text_and_ranges_and_come_by_frequency(self, models: Documents) -> None:
        assert list(models.search("models", Query(facets=["tags"])).facets["tags"].items()) == [
            ("2d", 2),
            ("em", 2),
            ("nuclei", 1),
        ]
        found = models.search("models", Query(text="microscopy", ranges={"pixel_size_um": (1, None)}, facets=["tags"]))
        assert found.facets == {"tags": {"em": 1}}

    def test_a_repeated_value_is_counted_once(self, documents: Documents) -> None:
        documents.create("things", "a", {"tags": ["x", "x"], "n": [1, 1.0, "1"]})
        assert documents.search("things", Query(facets=["tags", "n"])).facets == {"tags": {"x": 1}, "n": {"1": 1}}

    @pytest.mark.parametrize(
        ("sort", "descending", "order"),
        [
            ("pixel_size_um", False, ["mitochondria", "nuclei", "membranes"]),
            ("pixel_size_um", True, ["membranes", "nuclei", "mitochondria"]),
            ("name", False, ["nuclei", "membranes", "mitochondria"]),
            ("scores.value", True, ["nuclei", "mitochondria", "membranes"]),
            ("scores.value", False, ["nuclei", "mitochondria", "membranes"]),
            ("open", False, ["mitochondria", "membranes", "nuclei"]),
            ("absent", True, ["membranes", "mitochondria", "nuclei"]),
            ("name; DROP TABLE document", True, ["membranes", "mitochondria", "nuclei"]),
        ],
    )
    def test_sorting(self, models: Documents, sort: str, descending: bool, order: list) -> None:
        assert ids(models.search("models", Query(sort=sort, descending=descending))) == order

    def test_pages_cover_everything_once(self, documents: Documents) -> None:
        for number in range(23):
            documents.create("things", f"id{number:02}", {"n": number, "same": 1})
        pages = [documents.search("things", Query(sort="same", page=page, size=10)) for page in (1, 2, 3, 4)]
        assert [page.total for page in pages] == [23] * 4
        assert [id for page in pages for id in ids(page)] == [f"id{number:02}" for number in range(23)]

    @pytest.mark.parametrize(
        "query",
        [
            Query(page=0),
            Query(page=-1),
            Query(size=-1),
            Query(size=MAXIMUM_PAGE_SIZE + 1),
            Query(page=10**9),
            Query(text="x" * (MAXIMUM_QUERY_TEXT + 1)),
            Query(text="x " * 100),
            Query(sort=""),
            Query(sort="x" * 1000),
            Query(facets=["a"] * 100),
            Query(filters={"a": ["b"] * 1000}),
            Query(filters={"a": ["\ud800"]}),
            Query(filters={"\ud800": ["a"]}),
            Query(ranges={"a": (math.nan, None)}),
        ],
        ids=lambda query: str(query)[:60].encode("ascii", "replace").decode(),
    )
    def test_a_query_beyond_the_limits_is_refused(self, models: Documents, query: Query) -> None:
        with pytest.raises(BadQuery) as caught:
            models.search("models", query)
        assert caught.value.status == 400
        assert caught.value.message.endswith(".")
        assert caught.value.hint

    def test_the_largest_query_within_the_limits_is_served(self, models: Documents) -> None:
        many = [f"value{number}" for number in range(100)]
        query = Query(text="x " * 50, filters={f"field{n}": many for n in range(14)}, facets=["tags"] * 14)
        assert models.search("models", query).total == 0

    def test_collections_are_searched_apart(self, models: Documents) -> None:
        models.create("things", "other", {"name": "nuclei", "tags": ["em"]})
        page = models.search("things", Query(text="nuclei", facets=["tags"]))
        assert (ids(page), page.facets) == (["other"], {"tags": {"em": 1}})
        assert models.search("models", Query(text="nuclei")).total == 2


def _revision(outcome: object) -> str:
    assert isinstance(outcome, Stored)
    return outcome.revision
