"""A service with much to do, for the picture of the operator's page: nobody computes, all is told by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests

from scheduler import contract
from scheduler.contract import Alive, Claim, Progress, ReserveRequest, WorkerFacts

SECONDS = 30.0
CARD = WorkerFacts(("keras", "onnx"), ("keras", "onnx"), 47.5, "NVIDIA L40S", 125.8, "0.1.0")
PROCESSOR = WorkerFacts(device_name="AMD EPYC 7543", memory_gb=62.9, version="0.1.0")
TOO_LARGE = ("out-of-memory", "The model needs more memory than this worker's GPU has.", "Choose a smaller region.")
CRASHED = ("worker-crashed", "The model's process was killed by SIGKILL.", "Choose a smaller region, or try again.")


@dataclass
class BusyService:
    """The service at `url`; `tokens` is its folder of secrets. ZOOSCOPE_ATTEMPTS must be 1 for `bury`."""

    url: str
    tokens: Path

    def packages(self) -> dict[str, str]:
        """The package of each model."""
        answer = requests.get(f"{self.url}/api/v1/models", timeout=SECONDS)
        return {model["id"]: model["package_sha256"] for model in answer.json()["items"]}

    def submit(self, model: str) -> str:
        """A preview of the model's first sample; its uuid."""
        body = {"model": model, "sample": 0}
        image = self._post("/api/v1/images/from-sample", body)["id"]
        request = {"image": image, "models": [model], "roi": [0, 0, 128, 128]}
        return str(self._post("/api/v1/jobs", request)["jobs"][0]["uuid"])

    def begin(self, worker: ReserveRequest) -> Claim:
        """The worker takes the next job and starts it."""
        claim = Claim.from_json(self._work(contract.RESERVE, replace(worker, timeout_seconds=5.0).to_json()))
        self.say(claim, contract.START)
        return claim

    def bury(self, worker: ReserveRequest, model: str, error: tuple[str, str, str] = TOO_LARGE) -> str:
        uuid = self.submit(model)
        claim = self.begin(worker)
        assert claim.uuid == uuid
        code, message, hint = error
        self.say(claim, contract.FAIL, code=code, message=message, hint=hint, retry=True)
        return uuid

    def work(self, worker: ReserveRequest, model: str, stage: str, fraction: float) -> str:
        """A job that the worker is in the middle of."""
        uuid = self.submit(model)
        claim = self.begin(worker)
        self.say(claim, contract.PROGRESS, progress=Progress(stage, fraction).to_json())
        return uuid

    def cancelled(self, model: str) -> str:
        uuid = self.submit(model)
        self._post(contract.path(contract.CANCEL, uuid=uuid), None, "service-token")
        return uuid

    def show(self, worker: ReserveRequest) -> None:
        """The worker is there and finds nothing to do."""
        self._work(contract.RESERVE, replace(worker, timeout_seconds=0.0).to_json())

    def starts(self, worker: ReserveRequest) -> None:
        """The worker is there, and takes no job yet."""
        self._work(contract.ALIVE, Alive(worker).to_json())

    def pause(self, kind: str, seconds: int) -> None:
        self._post(contract.path(contract.PAUSE), {"kind": kind, "seconds": seconds}, "service-token")

    def say(self, claim: Claim, template: str, **body: Any) -> None:
        self._work(template, {"lease": claim.lease, **body}, uuid=claim.uuid)

    def _work(self, template: str, body: dict[str, Any], **names: str) -> Any:
        return self._post(contract.path(template, **names), body, "worker-token")

    def _post(self, path: str, body: Any, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {(self.tokens / token).read_text().strip()}"} if token else {}
        answer = requests.post(self.url + path, json=body, headers=headers, timeout=SECONDS)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def make_busy(service: BusyService) -> None:
    """Two jobs run, four wait, three are buried and one was cancelled; three workers, a pause."""
    packages = service.packages()
    warm = (packages["nuclei"], packages["spots"])
    card = ReserveRequest("gpu-1", warm_models=warm, device="gpu:0", facts=CARD)
    other = ReserveRequest("gpu-2", warm_models=(packages["em-membranes"],), device="gpu:0", facts=CARD)
    for model, error in (("nuclei", TOO_LARGE), ("spots", CRASHED), ("em-membranes", TOO_LARGE)):
        service.bury(card, model, error)
    service.cancelled("blood-cells")
    service.show(ReserveRequest("institute-cpu", device="cpu", facts=PROCESSOR))
    service.work(card, "nuclei", "inferring", 0.62)
    service.work(other, "em-membranes", "decoding", 0.81)
    for model in ("spots", "nuclei", "blood-cells", "em-mitochondria"):
        service.submit(model)
    service.pause("run", 3600)
