"""Drafts: nothing typed is lost or overwritten unseen, what was checked is what is submitted, blobs are kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publishing_parts import ADA, REPORT

from zoo.documents_sqlite import SqliteDocuments
from zoo.submissions import (
    COLLECTION,
    MAXIMUM_FIELDS_BYTES,
    MAXIMUM_OPEN,
    BadSubmission,
    SubmissionChanged,
    SubmissionMissing,
    Submissions,
    TooManyDrafts,
    WrongState,
)

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    yield documents
    documents.close()


@pytest.fixture
def submissions(documents: SqliteDocuments) -> Submissions:
    return Submissions(documents)


def test_what_is_typed_is_kept_field_by_field(submissions: Submissions) -> None:
    id = submissions.create(ADA.id, {"name": "Cells", "id": "cells", "authors": [{"name": "Ada"}]})["id"]
    saved = submissions.set_fields(id, {"version": "1.0.0", "name": "Cells of leaves", "id": None})
    assert saved["fields"] == {"name": "Cells of leaves", "authors": [{"name": "Ada"}], "version": "1.0.0"}
    assert (saved["title"], saved["model_id"], saved["version"]) == ("Cells of leaves", "", "1.0.0")
    assert submissions.get(id) == saved
    assert [item.id for item in submissions.of_owner(ADA.id).items] == [id]
    assert submissions.of_owner("bob").total == 0


def test_two_windows_do_not_overwrite_each_other_unseen(submissions: Submissions) -> None:
    draft = submissions.create(ADA.id, {"name": "Cells"})
    first = submissions.set_fields(draft["id"], {"name": "One"}, draft["changed_at"])
    with pytest.raises(SubmissionChanged) as caught:
        submissions.set_fields(draft["id"], {"name": "Two"}, draft["changed_at"])
    assert caught.value.newest == first
    again = submissions.set_fields(draft["id"], {"name": "Two"}, caught.value.newest["changed_at"])
    assert again["fields"] == {"name": "Two"}
    assert again["changed_at"] > first["changed_at"]


def test_what_does_not_touch_the_form_does_not_disturb_who_types(submissions: Submissions) -> None:
    draft = submissions.create(ADA.id, {"name": "Cells"})
    uploaded = submissions.set_file(draft["id"], "weights", "cells.keras", A, 10)
    assert uploaded["changed_at"] == draft["changed_at"]
    submissions.set_fields(draft["id"], {"name": "Cells 2"}, draft["changed_at"])


def test_all_at_once_nothing_is_lost(submissions: Submissions) -> None:
    id = submissions.create(ADA.id)["id"]
    threads = [
        threading.Thread(target=submissions.set_fields, args=(id, {f"field{number}": number})) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert submissions.get(id)["fields"] == {f"field{number}": number for number in range(8)}


@pytest.mark.parametrize(
    "fields",
    [
        {"card": "x" * (MAXIMUM_FIELDS_BYTES + 1)},
        {f"field{number}": 1 for number in range(50_000)},
        {"tags": [[number] for number in range(10_000)]},
    ],
)
def test_a_form_that_no_form_sends_is_refused(submissions: Submissions, fields: dict[str, Any]) -> None:
    id = submissions.create(ADA.id, {"name": "Cells"})["id"]
    with pytest.raises(BadSubmission):
        submissions.set_fields(id, fields)
    assert submissions.get(id)["fields"] == {"name": "Cells"}


def test_a_deeply_nested_form_is_refused(submissions: Submissions) -> None:
    nested: Any = "x"
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(BadSubmission, match="nested"):
        submissions.create(ADA.id, {"tags": nested})


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=40) | st.lists(st.text(max_size=9)),
        max_size=8,
    )
)
def test_any_form_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any]) -> None:
    documents = SqliteDocuments(tmp_path_factory.getbasetemp() / "any_form.sqlite3")
    try:
        kept = {name: value for name, value in fields.items() if value is not None}
        submissions = Submissions(documents)
        id = submissions.create(ADA.id)["id"]
        assert submissions.set_fields(id, fields)["fields"] == kept
        assert submissions.get(id)["fields"] == kept
        submissions.change(id, lambda body: body.update(state="discarded"))
    finally:
        documents.close()


def test_only_what_was_checked_counts_as_checked(submissions: Submissions) -> None:
    id = submissions.create(ADA.id, {"name": "Cells"})["id"]
    submissions.start_check(id, "job1", A)
    assert submissions.get(id)["check"]["state"] == "running"
    checked = submissions.end_check(id, "job1", "passed", REPORT, B)
    assert (checked["package_sha256"], checked["check"]["report"]) == (B, REPORT)
    assert submissions.set_fields(id, {"name": "Cells"})["package_sha256"] == B
    assert submissions.set_fields(id, {"name": "Other"})["package_sha256"] == ""

    submissions.start_check(id, "job2", A)
    submissions.set_file(id, "cover", "cover.png", C, 3)
    ended = submissions.end_check(id, "job2", "passed", REPORT, B)
    assert (ended["package_sha256"], ended["check"]["state"]) == ("", "passed")

    submissions.start_check(id, "job3", A)
    assert submissions.end_check(id, "job2", "failed", None)["check"]["state"] == "running"
    assert submissions.end_check(id, "job3", "failed", REPORT)["package_sha256"] == ""


def test_every_blob_it_needs_is_named_and_no_other(submissions: Submissions) -> None:
    id = submissions.create(ADA.id)["id"]
    submissions.set_file(id, "weights", "cells.keras", A, 10)
    assert submissions.set_file(id, "test_image", "cells.png", B, 10)["blobs"] == [A, B]
    assert submissions.remove_file(id, "weights")["blobs"] == [B]
    assert submissions.start_check(id, "job1", C)["blobs"] == [B, C]
    with pytest.raises(BadSubmission, match="no file 'readme'"):
        submissions.set_file(id, "readme", "x", A, 1)


def test_what_is_under_review_is_not_changed(submissions: Submissions) -> None:
    id = submissions.create(ADA.id, {"name": "Cells"})["id"]
    submissions.change(id, lambda body: body.update(state="submitted"))
    for change in (
        lambda: submissions.set_fields(id, {"name": "Other"}),
        lambda: submissions.set_file(id, "cover", "cover.png", A, 1),
        lambda: submissions.remove_file(id, "cover"),
        lambda: submissions.start_check(id, "job1", A),
    ):
        with pytest.raises(WrongState, match="is submitted"):
            change()


def test_drafts_are_limited_and_missing_ones_missing(submissions: Submissions, documents: SqliteDocuments) -> None:
    for id in ("nothing", "0" * 32):
        with pytest.raises(SubmissionMissing):
            submissions.get(id)
    body = submissions.create(ADA.id)
    for number in range(MAXIMUM_OPEN - 1):
        documents.create(COLLECTION, f"{number:032x}", body | {"id": f"{number:032x}"})
    with pytest.raises(TooManyDrafts):
        submissions.create(ADA.id)
    submissions.create("bob")
