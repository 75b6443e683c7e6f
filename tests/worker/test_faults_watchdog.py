"""Watchdogs, supervisors and children that are killed, stopped or starved, alone and together."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from plant import Plant, free_ports, until

from worker.roll_call import RollCall

pytestmark = pytest.mark.slow

LEASE = 6.0
EATEN_LIMIT = 256 * 2**20


def whats(plant: Plant, uuid: str) -> list[str]:
    return [line["what"] for line in plant.job(uuid)["history"]]


@pytest.fixture
def patient_plant(tmp_path: Path, package: Path) -> Iterator[Plant]:
    """Leases long enough to see something happen within one."""
    plant = Plant(tmp_path, free_ports(), package, ert_floor_seconds=LEASE, stall_seconds=LEASE)
    yield plant
    plant.close()


def test_a_stopped_watchdog_is_replaced_and_the_lease_goes_on(patient_plant: Plant) -> None:
    plant = patient_plant
    worker = plant.worker("one")
    uuid = plant.submit(steps=6000, seconds=0.1)
    plant.until_computing(uuid)
    first_end, watchdog = plant.job(uuid)["lease"]["until"], worker.watchdog
    watchdog.suspend()
    until(lambda: plant.job(uuid)["lease"]["until"] > first_end, 40, lambda: worker.log)
    assert not watchdog.is_running()
    assert "does not answer" in worker.log
    job = plant.job(uuid)
    assert (job["state"], job["attempt"]) == ("running", 1)
    plant.scheduler.cancel(uuid)
    until(lambda: not plant.folders("one"), 20)


def test_a_watchdog_killed_again_and_again_costs_nothing(plant: Plant) -> None:
    worker = plant.worker("one")
    uuid = plant.submit(steps=50, seconds=0.1)
    plant.until_computing(uuid)
    for _ in range(3):
        watchdog = worker.watchdog
        watchdog.kill()
        until(lambda watchdog=watchdog: not watchdog.is_running() and worker.watchdog.pid != watchdog.pid, 10)
    job = plant.until_state(uuid, "done")
    assert job["attempt"] == 1


def test_child_and_watchdog_killed_together_cost_one_attempt(plant: Plant) -> None:
    worker = plant.worker("one")
    uuid = plant.submit(steps=20, seconds=0.1)
    plant.until_computing(uuid)
    for process in (worker.watchdog, worker.child):
        process.kill()
    job = plant.until_state(uuid, "done")
    assert job["attempt"] == 2
    assert whats(plant, uuid).count("attempt failed") == 1


def test_supervisor_and_watchdog_killed_together_the_child_ends_and_the_lease_runs_out(plant: Plant) -> None:
    first = plant.worker("first")
    uuid = plant.submit(steps=60, seconds=0.1)
    plant.until_computing(uuid)
    plant.worker("second")
    plant.until_waiting("second")
    child, watchdog = first.child, first.watchdog
    watchdog.suspend()
    os.kill(first.process.pid, signal.SIGKILL)
    watchdog.kill()
    first.process.wait()
    psutil.wait_procs([child], 5)
    assert not child.is_running()
    job = plant.until_state(uuid, "done")
    assert job["result"]["worker"] == "second"
    assert "lost" in whats(plant, uuid)


def test_a_stopped_supervisor_loses_the_job_and_its_late_result_is_refused(plant: Plant) -> None:
    first = plant.worker("first")
    uuid = plant.submit(steps=10, seconds=0.1)
    plant.until_computing(uuid)
    supervisor = psutil.Process(first.process.pid)
    supervisor.suspend()
    plant.worker("second")
    # The watchdog keeps the lease while the child moves, and lets go when the child, with nobody to hear it, is done.
    job = plant.until_state(uuid, "done")
    assert job["result"]["worker"] == "second"
    supervisor.resume()
    until(lambda: not plant.folders("first"), 20)
    assert plant.job(uuid)["result"] == job["result"]
    assert whats(plant, uuid).count("done") == 1


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group of Linux with little memory; what is in it and wants more is killed by the kernel."""
    root = Path("/sys/fs/cgroup")
    old = (root / "memory").is_dir()
    group = (root / "memory" if old else root) / f"zooscope-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(EATEN_LIMIT))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"the kernel's memory groups cannot be used here ({error}); SIGKILL stands for it in test_faults")
    yield group
    group.rmdir()


def test_a_child_killed_by_the_kernel_for_memory_is_retried_and_the_reason_said(
    memory_group: Path, plant: Plant
) -> None:
    worker = plant.worker("one", stall_seconds=60.0)
    plant.until_waiting("one")
    child = worker.child
    (memory_group / "cgroup.procs").write_text(str(child.pid))
    uuid = plant.submit(ert=60.0, end="memory")
    until(lambda: "attempt failed" in whats(plant, uuid), 120)
    assert not child.is_running()
    reason = next(line["detail"] for line in plant.job(uuid)["history"] if line["what"] == "attempt failed")
    assert "out of memory" in reason
    # The next child is outside the group: there it is the engine that says no.
    assert plant.until_state(uuid, "failed", 120)["error"]["code"] == "unexpected-error"
    plant.until_state(plant.submit(), "done")


def test_a_roll_call(monkeypatch: pytest.MonkeyPatch) -> None:
    time = 100.0
    monkeypatch.setattr("worker.roll_call.time.monotonic", lambda: time)
    call = RollCall()
    assert (call.left, call.due(), call.missed()) == (None, False, False)
    call.begin(10.0)
    assert (call.left, call.due()) == (30.0, False), "it is still starting"
    call.heard()
    assert call.left == 5.0
    time = 105.0
    assert (call.due(), call.due(), call.left, call.missed()) == (True, False, 2.0, False)
    call.heard()
    time = 107.5
    assert (call.missed(), call.due(), call.left) == (False, False, 2.5)
    time = 110.0
    assert call.due()
    time = 112.0
    assert (call.missed(), call.missed(), call.left) == (True, False, None)
    call.hired()
    assert call.left == 30.0
    call.heard()
    assert call.left == 5.0
    call.end()
    call.heard()
    call.hired()
    assert call.left is None
