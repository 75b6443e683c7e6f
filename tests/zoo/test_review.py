"""Review: what a step needs, who may publish under a name, and that of two at once one wins (item 48)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from publishing_parts import ADA, BOB, RITA, ROOT, Parts, packages_read_once  # noqa: F401

from zoo.catalogue import VersionExists
from zoo.documents_sqlite import SqliteDocuments
from zoo.errors import UserError
from zoo.identifiers import BadIdentifier
from zoo.model_owners import ModelTaken
from zoo.submissions import BadSubmission, NotReady, SubmissionMissing, WrongState


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    yield Parts(tmp_path, documents)
    documents.close()


def test_from_a_draft_to_a_published_model(parts: Parts) -> None:
    id = parts.checked()
    submitted = parts.review.submit(id, ADA)
    assert (submitted["state"], submitted["model_id"], submitted["version"]) == ("submitted", "cells", "1.0.0")
    assert [item.id for item in parts.submissions.in_state(["submitted"]).items] == [id]

    returned = parts.review.give_back(id, RITA, "  Say what it is not for. ")
    assert (returned["state"], returned["comments"][0]["text"]) == ("returned", "Say what it is not for.")
    parts.review.comment(id, ADA, "Done.")
    assert parts.review.submit(id, ADA)["state"] == "submitted"

    accepted = parts.review.accept(id, RITA, "Thank you.")
    assert [comment["kind"] for comment in accepted["comments"]] == ["return", "comment", "accept"]
    published = parts.publication.go_on(id)
    assert published["state"] == "published"
    model = parts.catalogue.get("cells")
    assert (model["owner"], model["check"]["passed"]) == (ADA.id, True)
    assert [line["what"] for line in published["history"]] == [
        "created", "check started", "check passed", "submitted", "returned", "submitted", "accepted", "published",
    ]  # fmt: skip
    assert parts.publication.go_on(id) == published


def test_only_a_model_that_passed_its_check_is_submitted(parts: Parts) -> None:
    id = parts.submissions.create(ADA.id, {"name": "Cells"})["id"]
    with pytest.raises(NotReady, match="not passed a check"):
        parts.review.submit(id, ADA)
    sha256 = parts.package()
    parts.submissions.start_check(id, "job1", sha256)
    with pytest.raises(NotReady, match="not done yet"):
        parts.review.submit(id, ADA)
    parts.submissions.end_check(id, "job1", "failed", {"passed": False})
    with pytest.raises(NotReady, match="not passed a check"):
        parts.review.submit(id, ADA)
    parts.submissions.start_check(id, "job2", sha256)
    parts.submissions.end_check(id, "job2", "passed", {"passed": True}, sha256)
    parts.submissions.set_fields(id, {"name": "Other"})
    with pytest.raises(NotReady, match="changed after its check"):
        parts.review.submit(id, ADA)


def test_steps_out_of_turn_are_refused(parts: Parts) -> None:
    id = parts.checked()
    for step in (lambda: parts.review.accept(id, RITA), lambda: parts.review.give_back(id, RITA, "No.")):
        with pytest.raises(WrongState, match="is draft"):
            step()
    parts.review.submit(id, ADA)
    for step in (lambda: parts.review.submit(id, ADA), lambda: parts.review.discard(id, ADA)):
        with pytest.raises(WrongState, match="is submitted"):
            step()
    with pytest.raises(BadSubmission, match="comment is missing"):
        parts.review.give_back(id, RITA, " \n ")
    with pytest.raises(BadSubmission, match="control characters"):
        parts.review.comment(id, RITA, "a\x1b[2Jb")


def test_a_discarded_draft_lets_go_of_its_files(parts: Parts) -> None:
    id = parts.checked()
    parts.review.discard(id, ADA)
    with pytest.raises(SubmissionMissing):
        parts.submissions.get(id)
    assert parts.submissions.of_owner(ADA.id).total == 0
    assert parts.documents.get("submissions", id).body["blobs"] == []


def test_a_model_belongs_to_who_published_it(parts: Parts) -> None:
    parts.published()
    with pytest.raises(ModelTaken, match="somebody else's model"):
        parts.review.submit(parts.checked(BOB, version="1.1.0"), BOB)
    assert parts.published(ADA, version="1.1.0")
    assert parts.review.submit(parts.checked(BOB, version="1.2.0"), ROOT)["by_admin"]
    with pytest.raises(VersionExists, match="published already"):
        parts.review.submit(parts.checked(ADA, title="Not the same"), ADA)


def test_what_came_with_zooscope_is_the_admins(parts: Parts, tmp_path: Path) -> None:
    parts.catalogue.publish(parts.blobs.path(parts.package()))
    with pytest.raises(ModelTaken):
        parts.review.submit(parts.checked(ADA, version="2.0.0"), ADA)
    parts.published(ROOT, version="2.0.0")
    assert "owner" not in parts.catalogue.get("cells")


def test_a_name_that_is_taken_is_told_while_it_is_typed(parts: Parts) -> None:
    parts.published()
    draft = parts.submissions.create(BOB.id, {"id": "cells", "version": "3.0.0"})
    assert (parts.review.conflict(draft) or {})["field"] == "id"
    draft = parts.submissions.create(ADA.id, {"id": "cells", "version": "1.0.0"})
    conflict = parts.review.conflict(draft) or {}
    assert (conflict["field"], conflict["hint"]) == (
        "version",
        "A published version never changes: give a new version.",
    )
    assert parts.review.conflict(parts.submissions.set_fields(draft["id"], {"version": "1.0.1"})) is None
    assert parts.review.conflict(parts.submissions.create(ADA.id, {"id": "cells"})) is None
    assert parts.review.conflict(parts.submissions.create(BOB.id, {"name": "Cells"})) is None
    bad = parts.submissions.create(BOB.id, {"id": "../Cells"})
    assert "cannot be a model's id" in (parts.review.conflict(bad) or {})["message"]
    with pytest.raises(BadIdentifier):
        parts.review.check_name("cells", "../1", ADA.id)


def test_48_of_two_with_the_same_id_one_wins(parts: Parts) -> None:
    """The first to be submitted holds the name against the second; accepted at once, one of them gets it."""
    first, second = parts.checked(ADA), parts.checked(BOB, version="2.0.0")
    parts.review.submit(first, ADA)
    with pytest.raises(ModelTaken):
        parts.review.submit(second, BOB)
    # As if both had been submitted at the same moment.
    parts.submissions.change(second, lambda body: body.update(state="submitted", model_id="cells", version="2.0.0"))
    won, lost = [], []
    start = threading.Barrier(2)

    def accept(id: str) -> None:
        start.wait()
        try:
            parts.review.accept(id, RITA)
            won.append(parts.publication.go_on(id)["owner"])
        except ModelTaken:
            lost.append(id)

    threads = [threading.Thread(target=accept, args=(id,)) for id in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 1)
    assert parts.submissions.get(lost[0])["state"] == "submitted"
    assert parts.catalogue.get("cells")["owner"] == won[0] == parts.owners.owner_of("cells")
    assert len(parts.catalogue.get("cells")["versions"]) == 1


def test_48_of_two_with_the_same_version_one_wins_and_the_other_is_told(parts: Parts) -> None:
    first, second = parts.checked(ADA), parts.checked(ADA, title="Not the same")
    parts.review.submit(first, ADA)
    with pytest.raises(VersionExists, match="under review"):
        parts.review.submit(second, ADA)
    parts.submissions.change(second, lambda body: body.update(state="submitted", model_id="cells", version="1.0.0"))
    for id in (first, second):
        parts.review.accept(id, RITA)
    parts.publication.resume()
    states = {parts.submissions.get(id)["state"]: id for id in (first, second)}
    assert set(states) == {"published", "returned"}
    told = parts.submissions.get(states["returned"])["comments"][-1]
    assert told["kind"] == "note"
    assert told["text"].startswith("It could not be published: Version 1.0.0 of cells is published already")
    winner = parts.submissions.get(states["published"])
    assert parts.catalogue.get("cells")["package_sha256"] == winner["package_sha256"]


def test_accepted_twice_at_once_is_published_once(parts: Parts) -> None:
    id = parts.checked()
    parts.review.submit(id, ADA)
    outcomes: list[str] = []
    start = threading.Barrier(3)

    def accept() -> None:
        start.wait()
        try:
            parts.review.accept(id, RITA)
            outcomes.append("accepted")
        except UserError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=accept) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["accepted", "wrong-state", "wrong-state"]
