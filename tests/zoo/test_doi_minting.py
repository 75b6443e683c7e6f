"""DOIs are minted once, whatever comes between: killed at every step, lost answers, two at once, a registry away."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.datacite_server import DataCiteServer, Doi
from fakes.registry_server import RegistryServer, running
from fakes.zenodo_server import ZenodoServer
from zoo_dois import PUBLIC_URL, Crash, CrashingDocuments, crashing, package_of, version_document

from zoo.blobs import DiskBlobs
from zoo.doi_datacite import DataCite
from zoo.doi_minting import Minting
from zoo.doi_none import NoRegistry
from zoo.doi_registry import DoiBusy, DoiRegistry, RegistryDown, RegistryRefused
from zoo.doi_zenodo import Zenodo
from zoo.packages import file_sha256


def datacite() -> DataCiteServer:
    return DataCiteServer()


def zenodo() -> ZenodoServer:
    return ZenodoServer()


def generous_zenodo() -> ZenodoServer:
    return ZenodoServer(answers_existing=True)


REGISTRIES: list[Callable[[], RegistryServer]] = [datacite, zenodo, generous_zenodo]


@pytest.fixture(params=REGISTRIES, ids=lambda make: make.__name__)
def server(request: pytest.FixtureRequest) -> Iterator[RegistryServer]:
    with running(request.param()) as server:
        yield server


class Bench:
    """Minting with everything it needs, in a folder; `restarted` is what another process has of the same."""

    def __init__(self, folder: Path, server: RegistryServer) -> None:
        self.folder = folder
        self.server = server
        self.now = 1000.0
        folder.mkdir(exist_ok=True)
        self.documents = CrashingDocuments(folder / "documents.sqlite3")
        self.documents.crash = Crash()
        self.blobs = DiskBlobs(folder / "blobs")
        self.minting = self.restarted()

    def restarted(self) -> Minting:
        return Minting(self.documents, registry_at(self.server), PUBLIC_URL, self.blobs, lambda: self.now)

    def document(self, version: str) -> dict[str, object]:
        path = package_of(self.folder, version)
        with path.open("rb") as stream:
            self.blobs.put(stream)
        return version_document(version, package_sha256=file_sha256(path))

    def publish(self, version: str, minting: Minting | None = None) -> dict[str, str]:
        return (minting or self.minting).publish(self.document(version), self.folder / f"{version}.zip")

    def life(self, minting: Minting) -> None:
        """Everything that can happen to a model, in its order."""
        minting.reserve("cells", "1.0.0")
        self.publish("1.0.0", minting)
        minting.reserve("cells", "1.1.0")
        self.publish("1.1.0", minting)
        minting.update(self.document("1.0.0") | {"description": "Edited."})
        minting.withdraw("cells", "1.1.0", "It was trained on the wrong data.")


def registry_at(server: RegistryServer) -> DoiRegistry:
    if isinstance(server, DataCiteServer):
        return DataCite(server.user, server.password, server.prefix, server.url)
    assert isinstance(server, ZenodoServer)
    return Zenodo(server.token, server.url)


def public_dois(server: RegistryServer) -> list[str]:
    """Every DOI that was ever registered; none of them can be taken back."""
    if isinstance(server, DataCiteServer):
        return sorted({name for name, state in server.history if state != "draft"})
    assert isinstance(server, ZenodoServer)
    return sorted(server.minted)


def drafts(server: RegistryServer) -> list[str]:
    if isinstance(server, DataCiteServer):
        return [name for name, state in server.states().items() if state == "draft"]
    assert isinstance(server, ZenodoServer)
    return [str(id) for id in server.drafts()]


@pytest.fixture
def bench(tmp_path: Path, server: RegistryServer) -> Iterator[Bench]:
    bench = Bench(tmp_path / "bench", server)
    yield bench
    bench.documents.close()


def test_a_version_and_its_model_get_a_doi_each(bench: Bench) -> None:
    reserved = bench.minting.reserve("cells", "1.0.0")
    assert public_dois(bench.server) == []
    assert bench.publish("1.0.0") == reserved == bench.minting.reserve("cells", "1.0.0")
    assert public_dois(bench.server) == sorted(reserved.values())
    assert len(set(reserved.values())) == 2
    second = bench.publish("1.1.0")
    assert second["concept_doi"] == reserved["concept_doi"]
    assert second["doi"] not in reserved.values()
    assert len(public_dois(bench.server)) == 3
    assert not drafts(bench.server)
    assert bench.minting.state("cells", "1.1.0")["state"] == "findable"


def test_what_is_done_again_asks_the_registry_for_nothing(bench: Bench) -> None:
    first = bench.publish("1.0.0")
    asked = len(bench.server.asked)
    assert bench.publish("1.0.0") == bench.minting.reserve("cells", "1.0.0") == first
    assert bench.minting.resume() == 0
    assert len(bench.server.asked) == asked


def steps_of_a_life(folder: Path, make: Callable[[], RegistryServer]) -> int:
    with running(make()) as server:
        bench = Bench(folder, server)
        with crashing(bench.documents) as crash:
            bench.life(bench.minting)
        bench.documents.close()
    return crash.steps


@pytest.mark.slow
@pytest.mark.parametrize("make", [datacite, zenodo])
def test_killed_at_any_step_it_goes_on_without_a_second_doi(tmp_path: Path, make: Callable[[], RegistryServer]) -> None:
    steps = steps_of_a_life(tmp_path / "whole", make)
    assert steps > 20
    for at in range(1, steps + 1):
        with running(make()) as server:
            bench = Bench(tmp_path / str(at), server)
            with crashing(bench.documents, at) as crash:
                bench.life(bench.minting)
            assert crash.steps == at
            survivor = bench.restarted()
            survivor.resume()
            bench.life(survivor)
            told = [survivor.state("cells", version) for version in ("1.0.0", "1.1.0")]
            assert [each["state"] for each in told] == ["findable", "withdrawn"], at
            given = {told[0]["doi"], told[1]["doi"], told[0]["concept_doi"], told[1]["concept_doi"]}
            assert len(given) == 3, at
            assert public_dois(server) == sorted(given), at
            assert drafts(server) == [], at
            bench.documents.close()


@pytest.mark.parametrize("make", REGISTRIES)
def test_killed_again_and_again_it_comes_to_an_end(tmp_path: Path, make: Callable[[], RegistryServer]) -> None:
    chance = random.Random(7)
    for run in range(4):
        with running(make()) as server:
            bench = Bench(tmp_path / str(run), server)
            ended = False
            while not ended:
                with crashing(bench.documents, chance.randint(5, 25)):
                    bench.restarted().resume()
                    bench.life(bench.restarted())
                    ended = True
            assert len(public_dois(server)) == 3
            assert not drafts(server)
            bench.documents.close()


def test_an_answer_that_gets_lost_makes_no_second_doi(bench: Bench) -> None:
    bench.document("1.0.0")
    for answered in range(40):
        # So many requests are answered, of the next one the answer gets lost.
        bench.server.lost_after = answered
        bench.now += 3600
        try:
            bench.publish("1.0.0")
            break
        except RegistryDown:
            continue
    assert answered > 2
    assert len(public_dois(bench.server)) == 2
    assert not drafts(bench.server)


def test_two_at_once_end_with_one_doi(bench: Bench) -> None:
    together = threading.Barrier(4)
    found: list[dict[str, str]] = []

    def work() -> None:
        minting = bench.restarted()
        together.wait()
        try:
            found.append(bench.minting.publish(document, path) if not found else minting.publish(document, path))
        except (RegistryRefused, RegistryDown):
            # The registry saw them collide: it is put right when one of them goes on.
            return

    document, path = bench.document("1.0.0"), bench.folder / "1.0.0.zip"
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.publish("1.0.0")["doi"] == bench.minting.state("cells", "1.0.0")["doi"]
    assert all(each == found[0] for each in found)
    assert len(public_dois(bench.server)) == 2
    assert not drafts(bench.server)


def test_a_registry_that_is_away_is_asked_again_when_it_is_time(bench: Bench) -> None:
    bench.server.down = True
    with pytest.raises(RegistryDown):
        bench.publish("1.0.0")
    bench.server.down = False
    asked = len(bench.server.asked)
    assert bench.minting.resume() == 0
    assert len(bench.server.asked) == asked
    bench.now += 3600
    assert bench.minting.resume() == 1
    assert bench.minting.state("cells", "1.0.0")["state"] == "reserved"
    bench.publish("1.0.0")
    assert len(public_dois(bench.server)) == 2


def test_who_asks_again_and_again_does_not_press_the_registry(bench: Bench) -> None:
    bench.server.down = True
    for _ in range(10):
        with pytest.raises(RegistryDown):
            bench.publish("1.0.0")
    assert len(bench.server.asked) == 3
    with pytest.raises(RegistryDown) as error:
        bench.publish("1.0.0")
    assert error.value.retry_after_seconds == 60
    bench.server.down = False
    assert bench.minting.resume(at_once=True) == 1
    bench.publish("1.0.0")
    assert len(public_dois(bench.server)) == 2


def test_a_rate_limit_is_waited_out(bench: Bench) -> None:
    bench.server.allowed = 0
    with pytest.raises(RegistryDown) as error:
        bench.minting.reserve("cells", "1.0.0")
    assert error.value.status == 503
    assert error.value.retry_after_seconds == 77
    bench.server.allowed = None
    bench.now += 76
    assert bench.minting.resume() == 0
    bench.now += 2
    assert bench.minting.resume() == 1


def test_a_page_of_a_proxy_is_no_answer(bench: Bench) -> None:
    bench.server.garbled = True
    with pytest.raises(RegistryDown, match="cannot be read"):
        bench.minting.reserve("cells", "1.0.0")
    bench.server.garbled = False
    bench.publish("1.0.0")
    assert len(public_dois(bench.server)) == 2
    assert not drafts(bench.server)


def test_a_draft_can_be_discarded_and_reserved_again(bench: Bench) -> None:
    bench.minting.reserve("cells", "1.0.0")
    bench.minting.discard("cells", "1.0.0")
    assert bench.minting.state("cells", "1.0.0") == {}
    bench.minting.discard("cells", "1.0.0")
    bench.publish("1.1.0")
    bench.minting.discard("cells", "1.1.0")
    assert bench.minting.state("cells", "1.1.0")["state"] == "findable"
    assert len(public_dois(bench.server)) == 2
    assert not drafts(bench.server)


def test_a_draft_is_discarded_killed_at_any_step(tmp_path: Path) -> None:
    for at in range(1, 40):
        with running(ZenodoServer()) as server:
            bench = Bench(tmp_path / str(at), server)
            bench.publish("1.0.0")
            with crashing(bench.documents, at) as crash:
                bench.minting.reserve("cells", "1.1.0")
                bench.minting.discard("cells", "1.1.0")
            bench.restarted().discard("cells", "1.1.0")
            bench.restarted().resume()
            assert bench.minting.state("cells", "1.1.0") == {}
            assert not drafts(server)
            bench.publish("1.2.0")
            assert len(public_dois(server)) == 3
            bench.documents.close()
        if crash.steps < at:
            break
    assert 5 < at < 39


def test_who_waits_for_the_draft_of_another_does_not_discard_it(tmp_path: Path) -> None:
    with running(ZenodoServer()) as server:
        bench = Bench(tmp_path / "bench", server)
        bench.minting.reserve("cells", "1.0.0")
        with pytest.raises(DoiBusy):
            bench.minting.reserve("cells", "2.0.0")
        bench.minting.discard("cells", "2.0.0")
        assert bench.minting.state("cells", "2.0.0") == {}
        assert len(drafts(server)) == 1
        assert bench.publish("1.0.0")["doi"] == public_dois(server)[-1]
        bench.documents.close()


def test_a_wrong_password_is_the_operators_matter_and_is_written_down(bench: Bench) -> None:
    server = bench.server
    wrong = DataCite("TIB.ZOO", "wrong", "10.12345", server.url) if isinstance(server, DataCiteServer) else None
    minting = Minting(bench.documents, wrong or Zenodo("wrong", server.url), PUBLIC_URL)
    with pytest.raises(RegistryRefused) as error:
        minting.reserve("cells", "1.0.0")
    assert error.value.status == 502
    assert "ZOOSCOPE_DOI_PASSWORD" in error.value.hint
    assert minting.state("cells", "1.0.0")["problem"] == error.value.message
    assert bench.publish("1.0.0")
    assert bench.minting.state("cells", "1.0.0")["problem"] == ""


def test_no_registry_mints_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    documents = CrashingDocuments(tmp_path / "documents.sqlite3")
    documents.crash = Crash(1)
    minting = Minting(documents, NoRegistry())
    document = version_document()
    assert minting.reserve("cells", "1.0.0") == minting.publish(document, tmp_path) == {}
    assert minting.update(document) == minting.withdraw("cells", "1.0.0") == minting.state("cells", "1.0.0") == {}
    minting.discard("cells", "1.0.0")
    assert minting.resume() == 0
    documents.close()


def test_a_name_that_a_stranger_has_is_left_to_him(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(DataCiteServer()) as server:
        assert isinstance(server, DataCiteServer)
        bench = Bench(tmp_path / "bench", server)
        names = iter([f"{server.prefix}/zs.{letter}" for letter in "abcdef"])
        monkeypatch.setattr(DataCite, "new_name", lambda self: next(names))
        for letter in "ab":
            server.dois[f"{server.prefix}/zs.{letter}"] = Doi("OTHER.ONE", "findable", {"url": "https://other.org"})
        dois = bench.publish("1.0.0")
        assert sorted(dois.values()) == [f"{server.prefix}/zs.{letter}" for letter in "cd"]
        assert server.dois[f"{server.prefix}/zs.a"].owner == "OTHER.ONE"
        bench.documents.close()


def test_zenodo_takes_one_new_version_at_a_time(tmp_path: Path) -> None:
    with running(ZenodoServer()) as server:
        bench = Bench(tmp_path / "bench", server)
        bench.publish("1.0.0")
        bench.minting.reserve("cells", "1.1.0")
        with pytest.raises(DoiBusy, match=r"1\.1\.0") as error:
            bench.minting.reserve("cells", "1.2.0")
        assert error.value.status == 409
        bench.publish("1.1.0")
        bench.now += 3600
        assert bench.minting.resume() == 1
        bench.publish("1.2.0")
        assert len(public_dois(server)) == 4
        assert not drafts(server)
        bench.documents.close()
