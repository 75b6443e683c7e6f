"""What scheduler and worker say to each other over HTTP: paths, messages, words. The one module a worker imports.

Every request of a worker carries `Authorization: Bearer <worker token>`; everything about one job carries the lease
id. Bodies are JSON but for files, which are sent as they are. Answers: 200/204, or `{"error": {code, message, hint}}`
with 401 (token), 404 (no such job), 409 `stale-lease` (another attempt owns the job), 410 `job-over` (cancelled or
finished: stop and forget), 413, 503 with Retry-After.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

PREFIX = "/scheduler/v1"

# Paths below PREFIX, with the job's uuid filled in by `path`. Of services, which show the service token:
SUBMIT = "/jobs"  # POST the fields of scheduler.jobs.JobRequest -> 201 the job; see IDEMPOTENCY_KEY
# POST {jobs: [as for SUBMIT]}, at most MOST_AT_ONCE -> 200 {jobs: [{job} or {error}]}, each accepted or not for itself;
# under one IDEMPOTENCY_KEY for all of them if it is given
SUBMIT_ALL = "/jobs/batch"
JOB = "/jobs/{uuid}"  # GET -> the job, with its place in the queue
CANCEL = "/jobs/{uuid}/cancel"  # POST -> the job
KICK = "/jobs/{uuid}/kick"  # POST -> the job, tried once more; 409 unless it is buried
DELETE = "/jobs/{uuid}"  # DELETE -> {}: cancelled and removed with all it had
BURIED = "/buried"  # GET, ?page= -> {items, total}: jobs that failed after all their attempts
PAUSE = "/pause"  # GET -> {kind: seconds left}; POST {kind, seconds} -> the same; 0 seconds goes on
WORKERS = "/workers"  # GET -> {workers: those seen lately, tokens: those ever made}
# POST {kinds: [...]} -> 201 {token}, shown this once; 409 while the worker has one.
NEW_TOKEN = "/workers/{name}/token"  # noqa: S105
REVOKE = "/workers/{name}/revoke"  # POST -> {jobs: how many were taken away}
DRAIN = "/workers/{name}/drain"  # POST {draining} -> the worker
# Of workers, which show theirs:
RESERVE = "/reserve"  # POST ReserveRequest -> 200 Claim | 204 nothing in time; DRAINING_HEADER: told to take nothing
ALIVE = "/alive"  # POST Alive -> {draining}: a worker shows itself between two reserves
START = "/jobs/{uuid}/start"  # POST {lease} -> {lease_until, ert_seconds}
EXTEND = "/jobs/{uuid}/extend"  # POST {lease} -> {lease_until, ert_seconds}
PROGRESS = "/jobs/{uuid}/progress"  # POST {lease, progress: Progress} -> {} ; 410 tells a worker to stop
LOG = "/jobs/{uuid}/log"  # POST {lease, sequence, text} -> {} ; the same sequence twice is kept once
FILE = "/jobs/{uuid}/files/{name}"  # PUT raw bytes, ?lease=&sha256= -> {sha256, size}
# POST {lease, files: [{name, sha256, size, media_type}], summary, timings} -> {}; a file that was not uploaded before
# has `data`, its bytes as base64
RESULT = "/jobs/{uuid}/result"
FAIL = "/jobs/{uuid}/fail"  # POST {lease, code, message, hint, retry} -> {state}
RELEASE = "/jobs/{uuid}/release"  # POST {lease} -> {} ; hands the job back at once, the attempt does not count
BLOB = "/blobs/{sha256}"  # GET -> raw bytes of a job's input or model package

STATES = ("queued", "running", "done", "failed", "cancelled")
FINAL_STATES = frozenset({"done", "failed", "cancelled"})

# Stages of a preview in their order, with what a person reads.
STAGES = {
    "queued": "Waiting for a worker",
    "loading": "Loading the model",
    "reading": "Reading the region",
    "enhancing": "Enhancing contrast",
    "inferring": "Running the model",
    "decoding": "Finding objects",
    "drawing": "Drawing the overlay",
    "measuring": "Measuring objects",
    "uploading": "Saving the result",
}

RESULT_FILES = {
    "overlay.png": "image/png",
    "probability.ome.tif": "image/tiff",
    "labels.ome.tif": "image/tiff",
    "objects.csv": "text/csv",
    "objects.geojson": "application/geo+json",
    "manifest.json": "application/json",
    "log.txt": "text/plain",
}
# Stages and files of a check: does a package load, do what its author saw, find something, and how fast.
CHECK_STAGES = {
    "queued": "Waiting for a worker",
    "loading": "Loading the model",
    "reproducing": "Comparing with the test tensors",
    "trying": "Running on the test image",
    "timing": "Measuring its speed",
    "uploading": "Saving the report",
}
# Those of a check that could not do a step are not there; report.json always is.
CHECK_FILES = {
    "report.json": "application/json",
    "cover.png": "image/png",
    "cover-before.png": "image/png",
    "overlay.png": "image/png",
    "test_input.npy": "application/octet-stream",
    "test_output.npy": "application/octet-stream",
    "manifest.json": "application/json",
    "log.txt": "text/plain",
}
FILES_OF = {"preview": RESULT_FILES, "check": CHECK_FILES}
STAGES_OF = {"preview": STAGES, "check": CHECK_STAGES}
MEDIA_TYPES = RESULT_FILES | CHECK_FILES
STAGE_LABELS = CHECK_STAGES | STAGES


def files_of(kind: str) -> dict[str, str]:
    """The names of the files that a result of this kind may have, with their media types."""
    return FILES_OF.get(kind, RESULT_FILES)


def stages_of(kind: str) -> dict[str, str]:
    """The stages of a job of this kind in their order, with what a person reads."""
    return STAGES_OF.get(kind, STAGES)


# Said with a 204 to a worker that is being drained.
DRAINING_HEADER = "Zooscope-Draining"
# How often a worker shows itself while it works; after four times as long it counts as gone.
ALIVE_SECONDS = 15.0
# The file that is shown as soon as it has arrived, while the rest of the result is still being made.
SHOWN_EARLY = "overlay.png"

# Files so small go along with the result itself instead of in requests of their own; a result carries so much of them.
ALONG_FILE_BYTES, ALONG_BYTES = 16 * 2**10, 128 * 2**10

# How many jobs one request may submit.
MOST_AT_ONCE = 200
# A submission with this header may be sent again when its answer was lost: the same key names the same job.
IDEMPOTENCY_KEY = "Idempotency-Key"


# A worker's own token: zsw_<name>_<secret>.
OWN_TOKEN = "zsw"  # noqa: S105


def name_in_token(token: str) -> str:
    """The worker's name that a token of its own carries, empty for any other token."""
    prefix, _, rest = token.partition("_")
    return rest.rpartition("_")[0] if prefix == OWN_TOKEN else ""


def path(template: str, **names: str) -> str:
    return PREFIX + template.format(**names)


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker is: the formats of weights that it runs and which of them on its GPU, the GPU's name and memory,
    the machine's memory for it, both in GB of 2^30 bytes, and its version of Zooscope. See scheduler/capabilities.py.
    """

    formats: tuple[str, ...] = ("keras", "onnx")
    gpu_formats: tuple[str, ...] = ()
    gpu_memory_gb: float = 0.0
    device_name: str = ""
    memory_gb: float = 0.0
    version: str = ""


@dataclass(frozen=True)
class ReserveRequest:
    """A worker asking for a job.

    `capabilities` are the kinds of jobs it serves; `device` is cpu or gpu:0 and shown to people;
    `warm_models` are the package sha256s of the models it has loaded.
    """

    worker: str
    capabilities: tuple[str, ...] = ("preview", "check")
    timeout_seconds: float = 20.0
    warm_models: tuple[str, ...] = ()
    device: str = ""
    facts: WorkerFacts = field(default_factory=WorkerFacts)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def told(self) -> dict[str, Any]:
        """What it tells of the worker, with lists for tuples, as it is written down."""
        facts = {name: list(one) if isinstance(one, tuple) else one for name, one in vars(self.facts).items()}
        return facts | {"kinds": list(self.capabilities), "models": list(self.warm_models), "device": self.device}


@dataclass(frozen=True)
class Alive:
    """A worker between two requests for a job: while it starts, or works on `job`. `about` has no timeout to it."""

    about: ReserveRequest
    phase: str = "starting"
    job: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"about": self.about.to_json(), "phase": self.phase, "job": self.job}


@dataclass(frozen=True)
class Progress:
    """Where a job is: a stage of its kind, the fraction of the whole in 0..1, a sentence, and tiles when inferring."""

    stage: str
    fraction: float = 0.0
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Claim:
    """A job handed to a worker: everything it needs to run it, and the lease it runs under."""

    uuid: str
    kind: str
    attempt: int
    lease: str
    lease_until: float
    ert_seconds: float
    package_sha256: str
    input_sha256: str
    model: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Claim:
        return cls(**{name: body[name] for name in cls.__dataclass_fields__})
