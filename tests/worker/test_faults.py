"""What goes wrong with workers, and that every job still ends well: real processes, killed and stopped for real."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from plant import Plant, until

from scheduler.contract import RESULT_FILES
from scheduler.jobs import handle_of

pytestmark = pytest.mark.slow

ERT = 3.0  # the floor in plant.SHORT, which every job here gets
MARGIN = 2.0  # what the issue allows beyond a lease


def whats(job: dict[str, Any]) -> list[str]:
    return [line["what"] for line in job["history"]]


def test_jobs_are_done_one_after_the_other_and_the_cache_is_used(plant: Plant) -> None:
    worker = plant.worker("one")
    for _ in range(2):
        uuid = plant.submit(steps=2, seconds=0.01)
        job = plant.until_state(uuid, "done")
        assert {file["name"] for file in job["result"]["files"]} == set(RESULT_FILES)
        assert job["result"]["summary"] == {"objects": 3}
        log = plant.scheduler.log_text(uuid)
        assert "begins" in log
        assert "a stray print of the engine" in log
    until(lambda: not plant.folders("one"), 10)
    assert worker.stop() == 0


def test_killed_with_its_machine_the_job_is_done_by_another_within_a_lease(plant: Plant) -> None:
    first = plant.worker("first")
    uuid = plant.submit(steps=60, seconds=0.1)
    plant.until_computing(uuid)
    plant.worker("second")
    plant.until_waiting("second")
    first.kill_all()
    until(lambda: plant.job(uuid)["attempt"] == 2, ERT + MARGIN)
    job = plant.until_state(uuid, "done")
    assert job["result"]["worker"] == "second"
    assert whats(job).count("done") == 1
    assert "lost" in whats(job), "nobody told the scheduler: the lease ran out"


def test_a_killed_supervisor_takes_its_child_along_and_the_watchdog_hands_the_job_back(plant: Plant) -> None:
    first = plant.worker("first")
    uuid = plant.submit(steps=60, seconds=0.1)
    plant.until_computing(uuid)
    parts = first.parts()
    plant.worker("second")
    plant.until_waiting("second")
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    until(lambda: plant.job(uuid)["attempt"] == 2, ERT + MARGIN)
    job = plant.until_state(uuid, "done")
    assert job["result"]["worker"] == "second"
    assert "attempt failed" in whats(job), "told by the watchdog"
    gone, alive = psutil.wait_procs(parts, 5)
    assert len(gone) == 2, alive


def test_a_supervisor_killed_alone_and_restarted_gives_its_job_back(plant: Plant) -> None:
    first = plant.worker("same")
    uuid = plant.submit(steps=10, seconds=0.05)
    plant.until_computing(uuid)
    first.kill_all()
    plant.worker("same")
    job = plant.until_state(uuid, "done")
    assert "attempt failed" in whats(job), "told by the restarted worker, before the lease ran out"


@pytest.mark.parametrize(("end", "word"), [("SIGKILL", "out of memory"), ("SIGSEGV", "SIGSEGV"), ("exit", "status 7")])
def test_a_crashing_child_is_retried_then_given_up_with_the_reason(plant: Plant, end: str, word: str) -> None:
    plant.worker("one")
    job = plant.until_state(plant.submit(end=end), "failed")
    assert job["attempt"] == 2
    assert job["error"]["code"] == "worker-crashed"
    assert word in job["error"]["message"]
    assert whats(job)[-1] == "buried"
    plant.until_state(plant.submit(), "done")


def test_a_users_error_is_not_retried(plant: Plant) -> None:
    plant.worker("one")
    job = plant.until_state(plant.submit(end="user-error"), "failed")
    error = {"code": "bad-region", "message": "The region is empty.", "hint": "Draw a larger one."}
    assert (job["attempt"], job["error"]) == (1, error)


def test_a_hung_child_is_killed_and_the_job_done_at_the_second_try(plant: Plant) -> None:
    worker = plant.worker("one")
    uuid = plant.submit(steps=60, seconds=0.05)
    plant.until_computing(uuid)
    child = worker.child
    child.suspend()
    job = plant.until_state(uuid, "done")
    assert job["attempt"] == 2
    assert any("no progress" in line["detail"] for line in job["history"])
    assert not child.is_running()


def test_a_job_that_always_hangs_is_buried_with_its_reason(plant: Plant) -> None:
    plant.worker("one", stall_seconds=1.0)
    job = plant.until_state(plant.submit(end="hang"), "failed")
    assert job["attempt"] == 2
    assert "made no progress for 1 seconds" in job["error"]["message"]
    assert whats(job)[-1] == "buried"


def test_a_child_stopped_at_every_try_buries_the_job(plant: Plant) -> None:
    worker = plant.worker("one")
    uuid = plant.submit(steps=60, seconds=0.05)
    for attempt in (1, 2):
        until(lambda attempt=attempt: plant.job(uuid)["attempt"] == attempt, 40, lambda: plant.job(uuid))
        plant.until_computing(uuid)
        worker.child.suspend()
    job = plant.until_state(uuid, "failed")
    assert job["attempt"] == 2
    assert "made no progress" in job["error"]["message"]
    assert whats(job)[-1] == "buried"


def test_a_slow_job_outlives_its_lease_even_without_its_first_watchdog(plant: Plant) -> None:
    worker = plant.worker("one")
    uuid = plant.submit(steps=70, seconds=0.1)
    plant.until_computing(uuid)
    watchdog = worker.watchdog
    watchdog.kill()
    job = plant.until_state(uuid, "done")
    assert job["attempt"] == 1
    assert job["finished_at"] - job["started_at"] > 2 * ERT


def test_beanstalkd_killed_and_restarted_in_mid_job_loses_nothing(plant: Plant) -> None:
    plant.worker("one")
    uuid = plant.submit(steps=30, seconds=0.05)
    waiting = plant.submit()
    plant.until_computing(uuid)
    plant.queue.kill()
    time.sleep(0.5)
    plant.start_queue()
    job = plant.until_state(uuid, "done")
    assert job["attempt"] == 1
    assert whats(job).count("done") == 1
    plant.until_state(waiting, "done")


def test_the_web_away_in_mid_job_the_result_is_kept_and_posted(plant: Plant) -> None:
    worker = plant.worker("one")
    uuid = plant.submit(steps=10, seconds=0.05)
    plant.until_computing(uuid)
    plant.kill_web()
    until(lambda: [folder for folder in plant.folders("one") if (folder / "outcome.json").exists()], 20)
    time.sleep(ERT)  # past the lease's end: it is still nobody else's
    plant.start_web()
    back = time.monotonic()
    job = plant.until_state(uuid, "done")
    assert time.monotonic() - back < 6
    assert job["attempt"] == 1
    assert "does not answer" in worker.log
    until(lambda: not plant.folders("one"), 10)


def test_a_result_outlives_a_restart_of_worker_and_web(plant: Plant) -> None:
    worker = plant.worker("same")
    uuid = plant.submit(steps=10, seconds=0.05)
    plant.until_computing(uuid)
    plant.kill_web()
    until(lambda: [folder for folder in plant.folders("same") if (folder / "outcome.json").exists()], 20)
    assert worker.stop() == 0
    plant.start_web()
    plant.worker("same")
    assert plant.until_state(uuid, "done")["attempt"] == 1


def test_a_stale_workers_late_result_is_refused_and_cleaned_up(plant: Plant) -> None:
    stale = plant.worker("stale")
    uuid = plant.submit(steps=40, seconds=0.05)
    plant.until_computing(uuid)
    # The whole machine sleeps, its child a little less long: it finishes before it learns that the job is gone.
    parts = [*stale.parts(), psutil.Process(stale.process.pid)]
    child = stale.child
    for process in parts:
        process.suspend()
    plant.worker("second")
    job = plant.until_state(uuid, "done")
    assert job["result"]["worker"] == "second"
    until(lambda: plant.job(uuid)["log_sha256"], 10)
    before = set(plant.blobs.sha256s())
    child.resume()
    until(lambda: [folder for folder in plant.folders("stale") if (folder / "out" / "log.txt").exists()], 20)
    for process in parts:
        process.resume()
    until(lambda: not plant.folders("stale"), 20)
    assert plant.job(uuid)["result"] == job["result"]
    assert set(plant.blobs.sha256s()) == before
    plant.until_state(plant.submit(), "done")


@pytest.mark.parametrize("deaf", [False, True])
def test_cancel_stops_the_child_within_three_seconds(plant: Plant, deaf: bool) -> None:
    worker = plant.worker("one")
    uuid = plant.submit(steps=1000, seconds=0.05, deaf=deaf)
    plant.until_computing(uuid)
    child = worker.child
    plant.scheduler.cancel(uuid)
    cancelled = time.monotonic()
    until(lambda: not plant.folders("one"), 3)
    assert time.monotonic() - cancelled < 3
    assert child.is_running() != deaf, "a child that listens stays warm, one that does not is killed"
    assert plant.job(uuid)["state"] == "cancelled"
    plant.until_state(plant.submit(), "done")


def test_told_to_end_a_worker_hands_its_job_back_at_once(plant: Plant) -> None:
    first = plant.worker("first")
    uuid = plant.submit(steps=30, seconds=0.05)
    plant.until_computing(uuid)
    parts = first.parts()
    asked = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - asked < 2
    assert psutil.wait_procs(parts, 5)[1] == []
    job = plant.job(uuid)
    assert (job["state"], job["attempt"]) == ("queued", 0)
    assert plant.scheduler._queue.state(handle_of(job), uuid) == "ready", "released without a delay"
    plant.worker("second")
    assert plant.until_state(uuid, "done")["attempt"] == 1


def test_an_idle_worker_ends_at_once(plant: Plant) -> None:
    worker = plant.worker("one")
    plant.until_waiting("one")
    asked = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - asked < 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
@pytest.mark.parametrize("free_kib", [512, 2048])
def test_a_full_disk_is_a_clear_error(plant: Plant, tmp_path: Path, free_kib: int) -> None:
    small = plant.settings.workers_folder / "one"
    small.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={free_kib}k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        worker = plant.worker("one", result_file_bytes=2**30)
        job = plant.until_state(plant.submit(end="disk-full"), "failed")
        assert job["error"]["code"] == "worker-disk-full"
        assert "disk is full" in job["error"]["message"]
        if free_kib > 1024:
            plant.until_state(plant.submit(), "done")
        worker.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
