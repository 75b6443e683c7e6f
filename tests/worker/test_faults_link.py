"""The link between a worker and the service is cut for shorter and for longer than a lease."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from plant import Plant, free_ports, until
from relay import Relay

pytestmark = pytest.mark.slow

ERT = 3.0  # the floor in plant.SHORT


@pytest.fixture
def relay(plant: Plant) -> Iterator[Relay]:
    with Relay(plant.port) as relay:
        yield relay


@pytest.fixture
def patient(tmp_path: Path, package: Path) -> Iterator[Plant]:
    """A plant with leases and requests for jobs that outlast what is done to them here."""
    plant = Plant(tmp_path, free_ports(), package, ert_floor_seconds=30.0, reserve_seconds=60.0)
    yield plant
    plant.close()


def whats(plant: Plant, uuid: str) -> list[str]:
    return [line["what"] for line in plant.job(uuid)["history"]]


def test_a_cut_shorter_than_the_lease_costs_nothing(patient: Plant) -> None:
    with Relay(patient.port) as relay:
        patient.worker("far", server=relay.url)
        uuid = patient.submit(steps=40, seconds=0.1)
        patient.until_computing(uuid)
        patient.worker("near")
        patient.until_waiting("near")
        relay.cut()
        time.sleep(2.0)
        relay.mend()
        job = patient.until_state(uuid, "done")
        assert (job["result"]["worker"], job["attempt"]) == ("far", 1)


def test_a_cut_longer_than_the_lease_gives_the_job_to_another_and_the_late_result_is_refused(
    plant: Plant, relay: Relay
) -> None:
    far = plant.worker("far", server=relay.url)
    uuid = plant.submit(steps=30, seconds=0.1)
    plant.until_computing(uuid)
    plant.worker("near")
    relay.cut()
    job = plant.until_state(uuid, "done")
    assert (job["result"]["worker"], job["attempt"]) == ("near", 2)
    assert "lost" in whats(plant, uuid)
    until(lambda: plant.job(uuid)["log_sha256"], 10)
    before = set(plant.blobs.sha256s())
    relay.mend()
    until(lambda: not plant.folders("far"), 40, lambda: far.log)
    assert plant.job(uuid)["result"] == job["result"]
    assert set(plant.blobs.sha256s()) == before
    assert whats(plant, uuid).count("done") == 1


def test_with_nobody_else_there_a_result_is_taken_after_any_cut(plant: Plant, relay: Relay) -> None:
    plant.worker("far", server=relay.url)
    uuid = plant.submit(steps=10, seconds=0.1)
    plant.until_computing(uuid)
    relay.cut()
    until(lambda: [folder for folder in plant.folders("far") if (folder / "outcome.json").exists()], 30)
    until(lambda: time.time() > plant.job(uuid)["lease"]["until"], 2 * ERT)
    relay.mend()
    job = plant.until_state(uuid, "done")
    assert job["attempt"] == 1


def test_a_job_handed_to_a_worker_behind_a_cut_link_comes_back(patient: Plant) -> None:
    with Relay(patient.port) as relay:
        patient.worker("far", server=relay.url)
        until(lambda: "waiting" in [one["state"] for one in patient.scheduler.status()["workers"]], 40)
        relay.cut()
        uuid = patient.submit()
        until(lambda: patient.job(uuid)["attempt"] == 1, 20)
        patient.worker("near")
        job = patient.until_state(uuid, "done")
        assert (job["result"]["worker"], job["attempt"]) == ("near", 1), "a claim that was never begun does not count"


def test_connections_that_break_all_the_time_cost_nothing(plant: Plant, relay: Relay) -> None:
    plant.worker("far", server=relay.url)
    uuid = plant.submit(steps=30, seconds=0.1)
    plant.until_computing(uuid)
    while plant.job(uuid)["state"] == "running":
        relay.sever()
        time.sleep(0.2)
    job = plant.until_state(uuid, "done")
    assert job["attempt"] == 1
    assert whats(plant, uuid).count("done") == 1


def test_told_to_end_behind_a_cut_link_a_worker_still_ends_and_the_job_comes_back(plant: Plant, relay: Relay) -> None:
    far = plant.worker("far", server=relay.url)
    uuid = plant.submit(steps=100, seconds=0.1)
    plant.until_computing(uuid)
    relay.cut()
    parts = far.parts()
    assert far.stop() == 0
    assert psutil.wait_procs(parts, 5)[1] == []
    plant.worker("near")
    until(lambda: plant.job(uuid)["attempt"] == 2, 30)
    assert plant.job(uuid)["lease"]["worker"] == "near"
