"""What a worker tells of itself, and that it shows itself while it does not ask for a job."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from plant import TOKEN, Plant, until

from scheduler.capabilities import Ability, Needs
from scheduler.contract import Alive, ReserveRequest
from worker.cards import Card
from worker.client import SchedulerClient, ServiceAway
from worker.facts import GIB, facts, introduce, memory_bytes
from worker.presence import Presence
from worker.processes import ChildProcess
from zoo.settings import Settings

CARD = Card("Tesla T4", 15.0)


def test_a_worker_without_a_gpu_tells_of_its_formats_and_memory() -> None:
    known = facts(Settings(), (), None)
    assert known.formats == ("keras", "onnx")
    assert (known.gpu_formats, known.gpu_memory_gb, known.device_name) == ((), 0.0, "")
    assert known.memory_gb > 0.5
    assert known.version


def test_a_card_counts_only_where_a_framework_computes_on_it() -> None:
    assert facts(Settings(), (), CARD).gpu_memory_gb == 0.0
    known = facts(Settings(reviewed_packages=("0" * 64,)), ("keras",), CARD)
    assert (known.gpu_formats, known.gpu_memory_gb, known.device_name) == (("keras", "reviewed"), 15.0, "Tesla T4")
    ability = Ability(("preview",), known.formats, known.gpu_formats, known.gpu_memory_gb)
    assert ability.serves(Needs.read({"formats": ["keras"], "gpu_memory_gb": 16}))
    assert not ability.serves(Needs.read({"formats": ["onnx"], "device": "gpu"}))


@pytest.mark.parametrize(("on_gpu", "shown"), [((), "cpu"), (("keras",), "gpu")])
def test_an_automatic_device_is_shown_as_what_it_became(on_gpu: tuple[str, ...], shown: str) -> None:
    child = cast(ChildProcess, SimpleNamespace(warm=("a",), gpu_formats=on_gpu))
    request = introduce(Settings(), "w", "auto", CARD, child)
    assert (request.device, request.warm_models) == (shown, ("a",))
    assert introduce(Settings(), "w", "gpu:1", CARD, child).device == "gpu:1"


def test_memory_is_what_the_container_leaves(tmp_path: Path) -> None:
    limit, no_limit = tmp_path / "memory.max", tmp_path / "none"
    limit.write_text(f"{GIB}\n")
    no_limit.write_text("max\n")
    assert memory_bytes(0, (limit, tmp_path / "missing")) == GIB
    assert memory_bytes(GIB // 2, (limit,)) == GIB // 2
    assert memory_bytes(0, (no_limit,)) > GIB // 2


class Listener:
    """Stands in for the client: keeps what it is told, and is away the first time."""

    def __init__(self) -> None:
        self.heard: list[Alive] = []
        self.twice = threading.Event()

    def alive(self, about: Alive) -> bool:
        self.heard.append(about)
        if len(self.heard) == 1:
            raise ServiceAway("not yet")
        self.twice.set()
        return True


def test_presence_goes_on_when_the_scheduler_is_away_and_says_that_it_is_drained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener: Any = Listener()
    presence = Presence(listener, lambda: Alive(ReserveRequest("w"), "starting"), every=0.01)
    assert listener.twice.wait(10)
    until(lambda: "is being drained" in caplog.text, 10)
    presence.close()


def test_a_worker_is_seen_with_what_it_can_do_and_while_it_works(plant: Plant) -> None:
    plant.worker("one")
    uuid = plant.submit(steps=400, seconds=0.1)
    plant.until_computing(uuid)
    plant.until_state(uuid, "running")

    def seen() -> Any:
        found = [worker for worker in plant.scheduler.status()["workers"] if worker["name"] == "one"]
        return found and found[0]["state"] == "working" and found[0]

    worker = until(seen, 30, plant.scheduler.status)
    assert (worker["job"], worker["device"], worker["formats"]) == (uuid, "cpu", ["keras", "onnx"])
    assert worker["memory_gb"] > 0.5
    client = SchedulerClient(plant.server, TOKEN)
    assert client.alive(Alive(ReserveRequest("one", device="cpu"), "working", uuid)) is False
    client.close()


def test_a_drained_worker_finishes_its_job_takes_no_other_and_goes_on_when_told(plant: Plant) -> None:
    worker = plant.worker("one", reserve_seconds=1.0)
    first = plant.submit(steps=20, seconds=0.1)
    plant.until_computing(first)
    plant.scheduler.workers.drain("one")
    second = plant.submit()
    plant.until_state(first, "done")
    until(lambda: "is being drained" in worker.log_file.read_text(), 30)
    assert plant.job(second)["state"] == "queued"
    until(lambda: plant.scheduler.workers.one("one")["state"] == "draining", 20)
    plant.scheduler.workers.drain("one", on=False)
    plant.until_state(second, "done")
    until(lambda: "not being drained any more" in worker.log_file.read_text(), 30)
