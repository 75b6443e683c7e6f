"""Submitting a model to a Zooscope from a terminal: draft, upload, check in a worker, hand to the reviewers.

Each step can be taken up again: the draft is named from the start, uploads go on where they broke off, and a check that
ran on unchanged files is not run again.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from zoo.errors import UserError, ZooscopeError
from zoo.identifiers import is_uuid
from zoo.server_arguments import shown
from zoo.zoo_client import ZooClient, plain

POLL_SECONDS = 1.0
PACKAGE, WEIGHTS, TEST_IMAGE, COVER = "package", "weights", "test_image", "cover"
KINDS = {".zip": PACKAGE, ".keras": WEIGHTS, ".onnx": WEIGHTS}
LARGEST_FORM = 2**20
OPEN_STATES = ("draft", "returned")

Body = dict[str, Any]


class NotAModel(UserError):
    code = "not-a-model"


class BadForm(UserError):
    code = "bad-form"


class CheckFailed(UserError):
    code = "check-failed"


def read_form(path: Path | None) -> Body:
    """What a YAML or JSON file says of the form's fields; raises `BadForm`."""
    if path is None:
        return {}
    try:
        if path.stat().st_size > LARGEST_FORM:
            raise ValueError("it is larger than a form can be")
        found = yaml.safe_load(path.read_bytes())
        found = json.loads(json.dumps(found, allow_nan=False, default=str))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadForm(f"{path} cannot be read: {problem}.", "Write field: value, as YAML or JSON.") from error
    if not isinstance(found, dict):
        raise BadForm(f"{path} holds no fields.", "Write field: value, as YAML or JSON.")
    return found


def files_by_role(model: Path, test_image: Path | None, cover: Path | None) -> dict[str, Path]:
    """The files to send; raises `NotAModel`."""
    if model.suffix.lower() not in KINDS:
        raise NotAModel(
            f"{model.name} is no model that Zooscope takes.", "Give a package's .zip, a .keras or an .onnx."
        )
    given = {KINDS[model.suffix.lower()]: model, TEST_IMAGE: test_image, COVER: cover}
    files = {role: path for role, path in given.items() if path is not None}
    for path in files.values():
        if not path.is_file():
            raise NotAModel(f"There is no file {path}.", "Check the path.")
    return files


class Submitting:
    """One submission on its way; `say` prints a line for people."""

    def __init__(self, zoo: ZooClient, say: Callable[[str], None], wait: Callable[[float], None] = time.sleep) -> None:
        self.zoo, self.say, self._wait = zoo, say, wait
        self.body: Body = {}

    @property
    def address(self) -> str:
        return f"/api/v1/submissions/{self.body['id']}"

    @property
    def page(self) -> str:
        return f"{self.zoo.server}/publish/{self.body['id']}"

    def begin(self, draft: str | None, fields: Mapping[str, Any]) -> None:
        """Make a draft, or go on with one, and enter the fields."""
        if draft is None:
            self.body = self.zoo.post("/api/v1/submissions", {"fields": dict(fields)})
            self.say(f"Draft {self.body['id']}: {self.page}")
            return
        if not is_uuid(draft):
            raise BadForm(f"{draft[:60]!r} is no draft.", "Give the 32 digits that were printed when it was begun.")
        self.body = self.zoo.get(f"/api/v1/submissions/{draft}")
        if fields:
            self.body = self.zoo.patch(self.address, {"fields": dict(fields)})

    def send(self, files: Mapping[str, Path]) -> None:
        """Send the files that are not there yet, with the same contents."""
        for role, path in files.items():
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if (self.body["files"].get(role) or {}).get("sha256") == sha256:
                self.say(f"{path.name} is there already.")
                continue
            answer = self.zoo.put_file(f"{self.address}/files/{role}", path, sha256, shown(path.name))
            self.body = answer["submission"]
            self.say(f"Sent {path.name}, {path.stat().st_size / 2**20:.1f} MiB.")
            for wrong in (answer.get("found") or {}).get("wrong") or []:
                self.say(f"  {wrong.get('field', '')}: {wrong.get('sentence', '')}")

    def check(self) -> None:
        """Have it checked and wait for the report; raises `BadForm` for what is missing, `CheckFailed` with what was
        found."""
        if missing := self.body.get("missing"):
            raise BadForm(
                plain(" ".join(str(one["sentence"]) for one in missing)),
                f"Write it for --fields and go on with --draft {self.body['id']}, or type it at {self.page}.",
            )
        if (self.body.get("check") or {}).get("state") != "passed" or not self.body.get("package_sha256"):
            self.body = self.zoo.post(f"{self.address}/check", {})
        told = ""
        while (check := self.body.get("check") or {}).get("state") == "running":
            told = self._stage(check, told)
            self._wait(POLL_SECONDS)
            self.body = self.zoo.get(self.address)
        steps = (check.get("report") or {}).get("steps") or []
        for step in steps:
            self.say(f"  {'passed' if step.get('ok') else 'FAILED'}  {step.get('sentence', step.get('name', ''))}")
        if check.get("state") != "passed":
            failed = next((str(step.get("sentence", "")) for step in steps if not step.get("ok")), "")
            raise CheckFailed(
                f"The check of the model did not pass. {plain(failed)}".strip(),
                f"The draft is kept: see {self.page}, or put it right and go on with --draft {self.body['id']}.",
            )

    def _stage(self, check: Mapping[str, Any], told: str) -> str:
        """Say what the worker does now, when that is something new."""
        try:
            job = self.zoo.get(f"/api/v1/jobs/{check['job']}")
        except ZooscopeError:
            return told
        progress = job.get("progress") or {}
        now = progress.get("stage") or {"queued": "waiting for a worker"}.get(job.get("state", ""), "")
        if now and now != told:
            self.say(f"Check: {now}")
        return now or told

    def submit(self) -> None:
        """Hand it to the reviewers, unless it is there already."""
        if self.body["state"] in OPEN_STATES:
            self.body = self.zoo.post(f"{self.address}/submit", {})
        self.say(f"Submitted; the reviewers see it now. What becomes of it: {self.page}")


def tell(line: str) -> None:
    """To stderr, so that stdout has the one line that programs read."""
    print(plain(line), file=sys.stderr, flush=True)
