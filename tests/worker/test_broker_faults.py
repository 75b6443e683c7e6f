"""What the broker, a talkative model and a bad line do to a worker's job: real processes, nothing is lost."""

from __future__ import annotations

import hashlib
import os
import signal
import socket

import psutil
import pytest
from plant import TOKEN, Plant, until

from scheduler import contract
from worker.client import SchedulerClient

pytestmark = pytest.mark.slow

GIBIBYTE = 1024  # MiB
STEPS = 64


def test_beanstalkd_drained_in_mid_job_the_result_and_its_log_arrive(plant: Plant) -> None:
    plant.worker("one")
    uuid = plant.submit(steps=20, seconds=0.05)
    plant.until_computing(uuid)
    os.kill(plant.queue.process.pid, signal.SIGUSR1)
    job = plant.until_state(uuid, "done")
    assert job["attempt"] == 1
    assert "begins" in plant.scheduler.log_text(uuid)
    until(lambda: not plant.folders("one"), 10)


def test_beanstalkd_away_at_the_end_of_a_job_the_result_does_not_wait_for_it(plant: Plant) -> None:
    plant.worker("one")
    uuid = plant.submit(steps=20, seconds=0.05, logged=1)
    plant.until_computing(uuid)
    plant.queue.kill()
    job = plant.until_state(uuid, "done")
    assert job["attempt"] == 1
    plant.start_queue()
    plant.until_state(plant.submit(), "done")


def test_beanstalkd_stopped_in_mid_job_for_longer_than_its_lease(plant: Plant) -> None:
    plant.worker("one")
    uuid = plant.submit(steps=80, seconds=0.05)
    plant.until_computing(uuid)
    plant.worker("two")
    plant.until_waiting("two")
    os.kill(plant.queue.process.pid, signal.SIGSTOP)
    opened = plant.job(uuid)["lease"]["until"]
    until(lambda: plant.job(uuid)["lease"] is None or plant.job(uuid)["lease"]["until"] > opened + 1, 30)
    os.kill(plant.queue.process.pid, signal.SIGCONT)
    job = plant.until_state(uuid, "done")
    assert (job["attempt"], job["result"]["worker"]) == (1, "one")


@pytest.mark.parametrize("how", ["printed", "logged"])
def test_a_gigabyte_of_log_is_cut_and_the_job_done(plant: Plant, how: str) -> None:
    """It goes through the worker's pipes in full, and nowhere further."""
    worker = plant.worker("one")
    uuid = plant.submit(**{"steps": STEPS, how: GIBIBYTE // STEPS})
    plant.until_computing(uuid)
    job = plant.until_state(uuid, "done", 150)
    assert job["attempt"] == 1
    text = plant.scheduler.log_text(uuid)
    assert text.endswith("[the log was cut here: it is too long]\n")
    assert 100_000 < len(text) < plant.settings.log_bytes + 1000
    assert psutil.Process(worker.process.pid).memory_info().rss < 300 * 2**20
    plant.until_state(plant.submit(), "done")


def test_an_upload_cut_in_the_middle_of_the_line_leaves_nothing_and_is_done_again(plant: Plant) -> None:
    uuid = plant.submit()
    client = SchedulerClient(plant.server, TOKEN)
    claim = client.reserve(contract.ReserveRequest("by hand", timeout_seconds=5.0))
    assert claim is not None
    client.start(uuid, claim.lease)
    data = b"x" * 3_000_000
    sha256 = hashlib.sha256(data).hexdigest()
    path = contract.path(contract.FILE, uuid=uuid, name="overlay.png") + f"?lease={claim.lease}&sha256={sha256}"
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(data)}\r\n\r\n"
    incoming = plant.blobs.folder / "incoming"
    with socket.create_connection(("127.0.0.1", plant.port)) as line:
        line.sendall(head.encode() + data[:2_000_000])
        until(lambda: any(incoming.iterdir()), 10)
    until(lambda: not any(incoming.iterdir()), 10)
    assert not plant.blobs.exists(sha256)
    assert plant.job(uuid)["lease"]["id"] == claim.lease
    whole = plant.folder / "overlay.png"
    whole.write_bytes(data)
    client.put_file(uuid, claim.lease, "overlay.png", whole, sha256)
    client.result(uuid, claim.lease, [{"name": "overlay.png", "sha256": sha256, "size": len(data)}], {}, {})
    client.close()
    assert plant.job(uuid)["state"] == "done"
    assert plant.blobs.exists(sha256)
