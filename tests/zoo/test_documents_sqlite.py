"""The SQLite engine: the contract, and what only a file shared by processes can get wrong."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents_contract import MODELS, DocumentsContract, ids

from zoo.documents import DocumentMissing, DocumentsUnavailable, Query
from zoo.documents_sqlite import SqliteDocuments
from zoo.sqlite_file import BUSY_PAUSE_SECONDS

# Waits for the starting shot, tries one compare-and-set, and says how it went.
RACER = """
import json, sys
from pathlib import Path
from zoo.documents import RevisionConflict
from zoo.documents_sqlite import SqliteDocuments

documents = SqliteDocuments(Path(sys.argv[1]))
print("ready", flush=True)
for line in sys.stdin:
    body, revision = json.loads(line)
    try:
        documents.replace("jobs", "a", body, revision)
        print("won", flush=True)
    except RevisionConflict:
        print("lost", flush=True)
documents.close()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "documents.sqlite3"


class TestSqliteDocuments(DocumentsContract):
    @pytest.fixture
    def documents(self, file: Path) -> Iterator[SqliteDocuments]:
        documents = SqliteDocuments(file)
        yield documents
        documents.close()

    def test_a_restart_keeps_everything(self, models: SqliteDocuments, file: Path) -> None:
        before = models.search("models", Query(text="nuclei", facets=["tags"]))
        models.close()
        again = SqliteDocuments(file)
        assert again.search("models", Query(text="nuclei", facets=["tags"])) == before
        assert again.get("models", "nuclei").body == MODELS["nuclei"]
        again.close()

    def test_two_engines_on_one_file_see_each_others_writes(self, models: SqliteDocuments, file: Path) -> None:
        other = SqliteDocuments(file)
        models.create("models", "new", {"name": "Vesicles"})
        assert ids(other.search("models", Query(text="vesicles"))) == ["new"]
        other.create("fresh", "a", {"name": "first of its collection"})
        assert models.search("fresh", Query(text="first")).total == 1
        other.close()

    def test_of_two_processes_exactly_one_wins(self, documents: SqliteDocuments, file: Path) -> None:
        stored = documents.create("jobs", "a", {"round": -1})
        command = [sys.executable, "-c", RACER, str(file)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as two:
            racers = (one, two)
            assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
            for number in range(20):
                for index, racer in enumerate(racers):
                    racer.stdin.write(json.dumps([{"round": number, "winner": index}, stored.revision]) + "\n")
                    racer.stdin.flush()
                outcome = [racer.stdout.readline().strip() for racer in racers]
                assert sorted(outcome) == ["lost", "won"]
                stored = documents.get("jobs", "a")
                assert stored.body == {"round": number, "winner": outcome.index("won")}
            for racer in racers:
                racer.stdin.close()
        assert (one.returncode, two.returncode) == (0, 0)

    def test_processes_that_make_the_file_at_once_all_succeed(self, file: Path) -> None:
        command = [sys.executable, "-c", RACER, str(file)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        starting = [subprocess.Popen(command, **pipes) for _ in range(4)]
        for process in starting:
            output, errors = process.communicate("")
            assert (output, errors, process.returncode) == ("ready\n", "", 0)

    def test_a_write_waits_for_that_of_another_process_and_not_for_ever(
        self, documents: SqliteDocuments, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        pauses: list[float] = []

        def let_go(seconds: float) -> None:
            pauses.append(seconds)
            other.execute("COMMIT")

        monkeypatch.setattr("zoo.sqlite_file.time.sleep", let_go)
        documents.create("things", "a", {"n": 1})
        assert pauses == [BUSY_PAUSE_SECONDS]
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("zoo.sqlite_file.BUSY_SECONDS", -1.0)
        with pytest.raises(DocumentsUnavailable, match="locked"):
            documents.create("things", "b", {"n": 1})
        other.close()
        documents.create("things", "b", {"n": 1})

    def test_a_killed_writer_leaves_the_file_whole(self, models: SqliteDocuments, file: Path) -> None:
        script = RACER.replace('print("won", flush=True)', "import os; os.kill(os.getpid(), 9)")
        revision = models.create("jobs", "a", {"n": 0}).revision
        killed = subprocess.run(
            [sys.executable, "-c", script, str(file)], input=json.dumps([{"n": 1}, revision]), text=True, check=False
        )
        assert killed.returncode == -9
        assert models.get("jobs", "a").body == {"n": 1}
        assert models.search("models", Query(text="nuclei")).total == 2

    def test_a_failed_write_leaves_nothing_half_done(self, models: SqliteDocuments, file: Path) -> None:
        # The index of words is written last: without its table everything before it has to be undone.
        with sqlite3.connect(file, isolation_level=None) as direct:
            direct.execute("DROP TABLE words_models")
        direct.close()
        stored = models.get("models", "nuclei")
        with pytest.raises(DocumentsUnavailable) as caught:
            models.replace("models", "nuclei", {"name": "Half"}, stored.revision)
        assert caught.value.status == 503
        assert models.get("models", "nuclei") == stored
        assert models.search("models", Query(filters={"name": ["Half"]})).total == 0

    def test_a_closed_engine_says_so(self, documents: SqliteDocuments) -> None:
        documents.close()
        with pytest.raises(DocumentsUnavailable):
            documents.get("models", "nuclei")


def test_a_file_that_is_something_else_is_refused(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a database " * 100)
    with pytest.raises(DocumentsUnavailable, match="cannot be used"):
        SqliteDocuments(file)


def test_a_file_of_a_later_version_is_refused(file: Path) -> None:
    SqliteDocuments(file).close()
    with sqlite3.connect(file) as direct:
        direct.execute("PRAGMA user_version = 99")
    direct.close()
    with pytest.raises(DocumentsUnavailable, match="another version"):
        SqliteDocuments(file)


def test_an_index_follows_every_change(file: Path) -> None:
    """The rows of a document's values are those of its body, whatever it was before."""
    documents = SqliteDocuments(file)
    stored = documents.create("things", "a", {"n": [1, "1", 2], "s": "x"})
    for body in ({"n": ["1"], "s": "y"}, {}, {"n": 1}, {"n": {"n": True}}, {"n": "true"}):
        stored = documents.replace("things", "a", body, stored.revision)
    with sqlite3.connect(file) as direct:
        assert direct.execute("SELECT path, word, number FROM field").fetchall() == [("n", "true", None)]
    direct.close()
    documents.delete("things", "a")
    with pytest.raises(DocumentMissing):
        documents.get("things", "a")
    documents.close()
