"""Uploads of a result's files against a real scheduler: early, again after it was away, and each once."""

from __future__ import annotations

from pathlib import Path

import pytest
from plant import TOKEN, Plant

from scheduler.contract import ALONG_FILE_BYTES, RESULT_FILES, ReserveRequest
from worker.client import SchedulerClient, ServiceAway
from worker.job_folder import JobFolder
from worker.uploads import BadResult, Uploads

FILES = {name: name.encode() * 3 for name in RESULT_FILES}


def begun(plant: Plant, folder: Path) -> tuple[SchedulerClient, JobFolder]:
    """A started job and a folder with all its files."""
    plant.submit()
    client = SchedulerClient(plant.server, TOKEN)
    claim = client.reserve(ReserveRequest("hand", timeout_seconds=5.0))
    assert claim is not None
    client.start(claim.uuid, claim.lease)
    job = JobFolder.create(folder, claim)
    for name, data in FILES.items():
        (job.out / name).write_bytes(data)
    return client, job


def test_files_sent_early_are_not_sent_again(plant: Plant, tmp_path: Path) -> None:
    client, job = begun(plant, tmp_path / "jobs")
    uploads = Uploads(client, job)
    uploads.begin("overlay.png")
    uploads.begin("overlay.png")
    uploads.begin("not-a-result.txt")
    first = uploads.finish(["overlay.png"])
    (job.out / "overlay.png").unlink()
    sent = uploads.finish(list(FILES))
    assert sent[0] == first[0]
    assert {file["name"]: file["size"] for file in sent} == {name: len(data) for name, data in FILES.items()}
    client.close()


def test_small_files_go_along_with_the_result_and_others_before_it(plant: Plant, tmp_path: Path) -> None:
    client, job = begun(plant, tmp_path / "jobs")
    (job.out / "labels.ome.tif").write_bytes(bytes(ALONG_FILE_BYTES + 1))
    names = ["overlay.png", "labels.ome.tif", "objects.csv", "manifest.json"]
    uploads = Uploads(client, job)
    for name in names:
        uploads.begin(name)
    files = uploads.finish(names)
    assert [("data" in file) for file in files] == [False, False, True, True]
    client.result(job.uuid, job.lease, files, {}, {})
    done = plant.job(job.uuid)
    assert done["state"] == "done"
    sent = {file["name"]: plant.blobs.read(file["sha256"]) for file in done["result"]["files"]}
    assert sent == {name: (job.out / name).read_bytes() for name in names}
    client.close()


def test_no_more_goes_along_than_a_message_holds(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, job = begun(plant, tmp_path / "jobs")
    monkeypatch.setattr("worker.uploads.ALONG_BYTES", len(FILES["objects.csv"]) + 1)
    files = Uploads(client, job).finish(["objects.csv", "manifest.json"])
    assert [("data" in file) for file in files] == [True, False]
    client.result(job.uuid, job.lease, files, {}, {})
    assert plant.job(job.uuid)["state"] == "done"
    client.close()


def test_all_that_failed_is_tried_again_at_once(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, job = begun(plant, tmp_path / "jobs")
    # Every file is sent for itself: one that failed early would else go along with the result.
    monkeypatch.setattr("worker.uploads.ALONG_FILE_BYTES", 0)
    uploads = Uploads(client, job)
    plant.kill_web()
    for name in FILES:
        uploads.begin(name)
    with pytest.raises(ServiceAway):
        uploads.finish(list(FILES))
    plant.start_web()
    assert len(uploads.finish(list(FILES))) == len(FILES)
    client.close()


def test_links_and_strange_names_are_refused(plant: Plant, tmp_path: Path) -> None:
    client, job = begun(plant, tmp_path / "jobs")
    uploads = Uploads(client, job)
    with pytest.raises(BadResult, match="not part"):
        uploads.finish(["passwords.txt"])
    (job.out / "log.txt").unlink()
    (job.out / "log.txt").symlink_to("/etc/hostname")
    with pytest.raises(BadResult, match="plain file"):
        uploads.finish(["log.txt"])
    client.close()
