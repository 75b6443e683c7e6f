"""Checks of submissions: put the package together, have a worker check it, and write down what came of it.

`start` queues the job; `settle` reads it when it is over and writes what it found into the package. It may be called
again and again, by whoever looks at the submission and by the service's own clock: a closed browser loses nothing.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scheduler.jobs import JobMissing, JobRequest
from web import visitors
from web.check_report import read_report
from web.check_view import KIND
from web.service import Service, service
from zoo.blobs import BlobMissing
from zoo.check_input import CheckInput, check_input
from zoo.errors import UserError, ZooscopeError
from zoo.package_archive import ArchiveRefused, PackageInvalid
from zoo.package_assemble import assemble
from zoo.package_checked import write_findings
from zoo.package_requires import needs_of
from zoo.package_safety import check_contents
from zoo.packages import ModelPackage, read_package, to_document
from zoo.submissions import CHECKING, OPEN_STATES, Body, SubmissionMissing, must_be

# Of a model that nobody measured, on a slow worker: what its lease is made of.
LOAD_SECONDS, WORK_SECONDS = 10.0, 30.0
# What a submission keeps of the job's files, which are deleted with the job: its page and the reviewers' show them.
KEPT = ("cover.png", "cover-before.png", "overlay.png", "log.txt")

log = logging.getLogger("zooscope.checks")


def start(submission: Body) -> dict[str, Any]:
    """Queue a check of what the draft holds now; returns the job. One that runs already is returned as it is.

    Raises `PackageInvalid` and `ArchiveRefused` for a package that need not even be run, `WrongState`, what reading the
    test image raises, and what submitting a job raises.
    """
    parts = service()
    must_be(submission, OPEN_STATES, "checked")
    check = submission["check"] or {}
    if check.get("state") == CHECKING:
        with contextlib.suppress(JobMissing):
            if not check.get("outdated"):
                return parts.scheduler.job(check["job"])
            parts.scheduler.cancel(check["job"])
    with tempfile.TemporaryDirectory(dir=parts.uploads_folder, prefix="check-") as folder:
        package = _assembled(parts, submission, Path(folder))
        image = submission["files"].get("test_image") or {}
        path = parts.blobs.path(image["sha256"]) if image else None
        given = check_input(package, path, image.get("name", ""), image.get("sha256", ""), parts.settings)
        # Held until the documents refer to the blobs: nobody may take them for garbage meanwhile.
        with parts.scheduler.blob_lock:
            parts.blobs.put_file(package.path)
            crop = parts.blobs.put_bytes(given.crop).sha256
            job = parts.scheduler.submit(_job_request(submission, package, given, crop))
            parts.submissions.start_check(
                submission["id"], job["uuid"], package.sha256, files={}, blobs=[package.sha256, crop]
            )
    return job


def cancel(submission: Body) -> Body:
    """Stop the check that runs, if any does; what it was of stays."""
    check = submission["check"] or {}
    if check.get("state") != CHECKING:
        return submission
    with contextlib.suppress(JobMissing):
        service().scheduler.cancel(check["job"])
    return settle(submission)


def settle(submission: Body, parts: Service | None = None) -> Body:
    """The submission with its check as far as that has come: what a finished job found is written down, once.

    Raises `SubmissionMissing` alone: when a service is away or the disk full it stays as it was, and a later call goes
    on.
    """
    check = submission["check"] or {}
    if check.get("state") != CHECKING:
        return submission
    parts = parts or service()
    try:
        try:
            job = parts.scheduler.job(check["job"])
        except JobMissing:
            return _over(
                parts, submission, "error", _said("The check was deleted before it was done.", "Start it again.")
            )
        if job["state"] in ("queued", "running"):
            return submission
        if job["state"] != "done":
            return _over(parts, submission, "error", _why(job))
        return _take(parts, submission, job)
    except SubmissionMissing:
        raise
    except ZooscopeError as error:
        log.warning("submission %s: its check is settled later: %s", submission["id"], error.message)
        return submission


def settle_all(parts: Service) -> int:
    """Settle every check that is over though nobody looks; returns how many were. For the service's own clock."""
    settled = 0
    for stored in parts.submissions.under_check():
        try:
            settled += settle(stored.body, parts)["check"]["state"] != CHECKING
        except ZooscopeError as error:
            log.warning("submission %s: its check could not be settled: %s", stored.id, error.message)
    return settled


def _assembled(parts: Service, submission: Body, folder: Path) -> ModelPackage:
    files = {role: parts.blobs.path(file["sha256"]) for role, file in submission["files"].items()}
    names = {role: file["name"] for role, file in submission["files"].items()}
    out = assemble(submission["fields"], files, folder / "package.zip", names=names, settings=parts.settings)
    package = read_package(out, parts.settings)
    check_contents(package)
    return package


def _job_request(submission: Body, package: ModelPackage, given: CheckInput, crop: str) -> JobRequest:
    return JobRequest(
        kind=KIND,
        owner=submission["owner"],
        address=visitors.address(),
        model={
            "id": package.id,
            "version": package.version,
            "name": package.name,
            "package_sha256": package.sha256,
            "head_kind": package.head["kind"],
        },
        settings={},
        requires=needs_of(to_document(package)),
        input_sha256=crop,
        source=given.source | {"submission": submission["id"]},
        estimate_seconds=LOAD_SECONDS + WORK_SECONDS,
        load_seconds=LOAD_SECONDS,
        computing_seconds=WORK_SECONDS,
    )


def _take(parts: Service, submission: Body, job: Mapping[str, Any]) -> Body:
    """Write what a finished job found into the submission and, when all is well, into its package."""
    files = {file["name"]: file for file in job["result"]["files"]}
    try:
        report = read_report(parts.blobs.path(files["report.json"]["sha256"]))
    except (KeyError, ValueError, BlobMissing):
        return _over(parts, submission, "error", _said("The report of the check cannot be read.", "Check it again."))
    if not report["passed"]:
        return _over(parts, submission, "failed", report, files)
    with tempfile.TemporaryDirectory(dir=parts.uploads_folder, prefix="check-") as folder:
        try:
            package = _amended(parts, submission["check"]["package_sha256"], report, files, Path(folder))
        except BlobMissing:
            return _over(parts, submission, "error", _said("The checked package was lost.", "Check it again."), files)
        except (PackageInvalid, ArchiveRefused) as error:
            report |= {"passed": False}
            report["steps"].append(
                _step("package", f"What the check found could not be written: {error.message}", error)
            )
            return _over(parts, submission, "failed", report, files)
        with parts.scheduler.blob_lock:
            parts.blobs.put_file(package.path)
            return _over(parts, submission, "passed", report, files, package.sha256)


def _amended(
    parts: Service, sha256: str, report: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]], folder: Path
) -> ModelPackage:
    package = read_package(parts.blobs.path(sha256), parts.settings)
    paths = {name: parts.blobs.path(str(file["sha256"])) for name, file in files.items()}
    return write_findings(package, report["ert"], paths, folder / "package.zip", parts.settings)


def _over(
    parts: Service,
    submission: Body,
    state: str,
    report: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]] | None = None,
    package_sha256: str = "",
) -> Body:
    kept = {
        name: {"sha256": file["sha256"], "bytes": file["size"]} for name, file in (files or {}).items() if name in KEPT
    }
    blobs = sorted({file["sha256"] for file in kept.values()})
    with parts.scheduler.blob_lock:
        return parts.submissions.end_check(
            submission["id"], submission["check"]["job"], state, report, package_sha256, files=kept, blobs=blobs
        )


def _why(job: Mapping[str, Any]) -> dict[str, Any]:
    """The report of a job that failed, which is no fault of the model unless it ate the worker's memory or time."""
    if job["state"] == "cancelled":
        return _said("The check was cancelled.", "Start it again.")
    error = job["error"] or {}
    message = error.get("message") or "The check failed."
    return _said(message, error.get("hint") or "Start it again; if it fails again, tell the operator.")


def _said(sentence: str, hint: str) -> dict[str, Any]:
    """A report of nothing but one sentence."""
    return {"passed": False, "steps": [_step("job", sentence, UserError(sentence, hint))]}


def _step(name: str, sentence: str, error: ZooscopeError) -> dict[str, Any]:
    return {"name": name, "ok": False, "sentence": sentence, "hint": error.hint, "seconds": 0.0}
