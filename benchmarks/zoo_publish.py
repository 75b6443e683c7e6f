"""From a reviewer's yes to a model that is found; a large package sent, and fetched by many at once, in what memory.

`python -m benchmarks.zoo_publish` starts the real web server on a fresh data folder with other models in it, for each
engine: Elasticsearch is a server of its own, or the one of --elasticsearch URL. To reach: found within 2 s of being
accepted, and a server that grows no more for 500 MB than for 5.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from benchmarks.table import print_table, verdict
from benchmarks.zoo_documents import Made
from benchmarks.zoo_search import ELASTICSEARCH_CACHE, fill
from web.up import listen
from zoo.accounts import Accounts
from zoo.api_tokens import ApiTokens
from zoo.blobs import DiskBlobs
from zoo.catalogue import Catalogue
from zoo.fetch_command import fetch
from zoo.identifiers import new_uuid
from zoo.model_owners import ModelOwners
from zoo.open_documents import open_documents
from zoo.review import Person, Review
from zoo.settings import GIB, Settings
from zoo.submissions import Submissions
from zoo.zoo_client import ZooClient

SEED = Path(__file__).parents[1] / "zoo" / "seed" / "nuclei.zip"
TO_REACH_SECONDS, TO_REACH_GROWTH_MB = 2.0, 64.0
START_SECONDS, PATIENCE_SECONDS = 60.0, 60.0
FETCHERS = 8
PASSWORD = "a benchmark's own word"


@dataclass
class Peaks:
    """The most memory, in bytes, that a process and those it starts had resident, looked at again and again."""

    pid: int
    own: int = 0
    started: int = 0
    _end: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Peaks:
        # Linux forgets the peak so far.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.05):
            self.own = max(self.own, _peak(self.pid))
            self.started = max([self.started, *(_peak(child) for child in _children(self.pid))])


def _peak(pid: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found + [below for child in found for below in _children(child)]


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[tuple[str, int]]:
    """The web server as `up` starts it; its URL and process."""
    with listen("127.0.0.1", 0) as listener:
        command = [sys.executable, "-m", "web.serve", "--fd", str(listener.fileno())]
        environment = os.environ | settings.environment()
        with subprocess.Popen(command, pass_fds=[listener.fileno()], env=environment) as process:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            try:
                requests.get(f"{url}/healthz", timeout=START_SECONDS)
                yield url, process.pid
            finally:
                process.terminate()


@dataclass
class Zoo:
    """The parts of a service, opened here beside the server, and people in it."""

    settings: Settings

    def __post_init__(self) -> None:
        self.documents = open_documents(self.settings)
        self.blobs = DiskBlobs(self.settings.blobs_folder, self.settings.free_disk_bytes)
        self.catalogue = Catalogue(self.documents, self.blobs, self.settings)
        accounts = Accounts(self.documents)
        self.author = str(accounts.add("ada", "Ada", PASSWORD)["id"])
        accounts.add("rita", "Rita", PASSWORD, ("author", "reviewer"))
        self.token = ApiTokens(self.documents).make(self.author, "benchmark", ("publish", "read"))[0]

    def submitted(self, package: Path, id: str) -> str:
        """A submission that passed its check, whose measuring is no part of this."""
        submissions = Submissions(self.documents)
        sha256 = self.blobs.put_file(package).sha256
        uuid = str(submissions.create(self.author, {"id": id, "version": "1.0.0", "name": id})["id"])
        submissions.start_check(uuid, "0" * 32, sha256)
        submissions.end_check(uuid, "0" * 32, "passed", {"passed": True, "steps": [], "at": time.time()}, sha256)
        review = Review(submissions, self.catalogue, ModelOwners(self.documents))
        review.submit(uuid, Person(self.author, "Ada"))
        return uuid

    def close(self) -> None:
        self.documents.close()


def renamed(out: Path, id: str, megabytes: int = 0) -> Path:
    """Write the seed model under another id to `out`, with so many megabytes that cannot be compressed."""
    with zipfile.ZipFile(SEED) as seed, zipfile.ZipFile(out, "w") as archive:
        for name in seed.namelist():
            data = seed.read(name)
            if name in ("rdf.yaml", "bioimageio.yaml"):
                data = yaml.safe_dump(yaml.safe_load(data) | {"id": id, "version": "1.0.0", "name": id}).encode()
            archive.writestr(name, data)
        with archive.open("filling.bin", "w", force_zip64=True) as target:
            for _ in range(megabytes):
                target.write(secrets.token_bytes(10**6))
    return out


def publishing(zoo: Zoo, url: str, rounds: int, folder: Path) -> list[float]:
    """Seconds from asking for a submission to be accepted until a search finds its model."""
    session = requests.Session()
    session.post(f"{url}/sign-in", data={"login": "rita", "password": PASSWORD}, timeout=PATIENCE_SECONDS)
    seconds = []
    for _ in range(rounds):
        id = f"found{new_uuid()[:12]}"
        uuid = zoo.submitted(renamed(folder / "small.zip", id), id)
        start = time.perf_counter()
        answer = session.post(f"{url}/api/v1/submissions/{uuid}/accept", json={}, timeout=PATIENCE_SECONDS)
        answer.raise_for_status()
        while not requests.get(f"{url}/api/v1/models", params={"q": id}, timeout=PATIENCE_SECONDS).json()["total"]:
            if time.perf_counter() - start > PATIENCE_SECONDS:
                raise SystemExit(f"{id} is not found {PATIENCE_SECONDS:g} s after it was accepted")
        seconds.append(time.perf_counter() - start)
    return seconds


def sending(zoo: Zoo, url: str, pid: int, megabytes: int, folder: Path) -> tuple[float, Peaks]:
    """Send a package to a draft; the seconds, and what the server took meanwhile."""
    file = renamed(folder / f"sent{megabytes}.zip", f"sent{megabytes}", megabytes)
    with contextlib.closing(ZooClient(url, zoo.token)) as client:
        draft = client.post("/api/v1/submissions", {})["id"]
        start = time.perf_counter()
        with Peaks(pid) as peaks:
            client.put_file(f"/api/v1/submissions/{draft}/files/package", file, file.name)
        seconds = time.perf_counter() - start
    file.unlink()
    return seconds, peaks


def fetching(zoo: Zoo, url: str, pid: int, megabytes: int, folder: Path) -> tuple[float, Peaks]:
    """Many fetch one package at once, each verified."""
    file = renamed(folder / "large.zip", "large", megabytes)
    model: dict[str, Any] = zoo.catalogue.publish(file)
    file.unlink()

    def take(number: int) -> None:
        target = folder / f"fetched{number}.zip"
        with contextlib.closing(ZooClient(url)) as client:
            fetch(client, model, target, False, lambda done, total: None)
        target.unlink()

    start = time.perf_counter()
    with Peaks(pid) as peaks, ThreadPoolExecutor(FETCHERS) as pool:
        list(pool.map(take, range(FETCHERS)))
    return time.perf_counter() - start, peaks


def measure(name: str, elasticsearch: str, models: int, rounds: int, megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        settings = Settings(
            data=folder / "data", free_disk_bytes=0, seed_folder=folder, package_bytes=4 * GIB, local_accounts="added",
            elasticsearch=elasticsearch, elasticsearch_prefix=f"benchmark-{new_uuid()}",
        )  # fmt: skip
        settings.data.mkdir()
        zoo = Zoo(settings)
        try:
            fill(zoo.documents, Made(), models)
            with serving(settings) as (url, pid):
                found = sorted(publishing(zoo, url, rounds, folder))
                rows = [
                    ("accepted to found, median", f"{found[len(found) // 2]:.2f} s", f"of {rounds}"),
                    ("accepted to found, slowest", f"{found[-1]:.2f} s",
                     verdict(found[-1], TO_REACH_SECONDS, at_most=True)),
                ]  # fmt: skip
                if megabytes:
                    rows += large(zoo, url, pid, megabytes, folder)
        finally:
            if elasticsearch:
                forget(zoo)
            zoo.close()
    print_table(f"{name}, {models:,} other models", rows)


def large(zoo: Zoo, url: str, pid: int, megabytes: int, folder: Path) -> list[tuple[str, str, str]]:
    sending(zoo, url, pid, 5, folder)
    _, small = sending(zoo, url, pid, 5, folder)
    seconds, peaks = sending(zoo, url, pid, megabytes, folder)
    growth = (peaks.own - small.own) / 1e6
    rows = [
        (f"{megabytes} MB sent and looked through", f"{seconds:.1f} s", f"{megabytes / seconds:.0f} MB/s"),
        ("the server grew, beyond 5 MB's", f"{growth:.0f} MB", verdict(growth, TO_REACH_GROWTH_MB, at_most=True)),
        (
            "the process that looks through it",
            f"{peaks.started / 1e6:.0f} MB",
            f"{small.started / 1e6:.0f} MB for 5 MB",
        ),
    ]
    if shutil.disk_usage(folder).free > (FETCHERS + 2) * megabytes * 10**6:
        seconds, peaks = fetching(zoo, url, pid, megabytes, folder)
        growth = (peaks.own - small.own) / 1e6
        rate = FETCHERS * megabytes / seconds
        rows += [
            (f"{FETCHERS} fetched it at once, verified", f"{seconds:.1f} s", f"{rate:.0f} MB/s together"),
            ("the server grew", f"{growth:.0f} MB", verdict(growth, TO_REACH_GROWTH_MB, at_most=True)),
        ]
    return rows


def forget(zoo: Zoo) -> None:
    """Remove this benchmark's indices."""
    documents: Any = zoo.documents
    for index in documents.client.indices.get(index=f"{documents.prefix}-*", allow_no_indices=True).body:
        documents.client.indices.delete(index=index)
    documents.client.indices.delete_index_template(name=documents.prefix)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["SQLite", "Elasticsearch"], action="append", help="only this one")
    parser.add_argument(
        "--elasticsearch", default="", metavar="URL", help="a running server, rather than one of its own"
    )
    parser.add_argument("--models", type=int, default=10_000, help="other models in the zoo")
    parser.add_argument("--rounds", type=int, default=20, help="models published")
    parser.add_argument("--megabytes", type=int, default=500, help="size of the large package; 0: none")
    parser.add_argument("--quick", action="store_true", help="little of everything: shows that it runs")
    given = parser.parse_args()
    if given.quick:
        given.models, given.rounds, given.megabytes = 50, 2, 6
    for name in given.engine or ["SQLite", "Elasticsearch"]:
        if name == "SQLite":
            measure(name, "", given.models, given.rounds, given.megabytes)
            continue
        from zoo.elasticsearch_server import running

        with (
            contextlib.nullcontext(given.elasticsearch) if given.elasticsearch else running(ELASTICSEARCH_CACHE) as url
        ):
            measure(name, url, given.models, given.rounds, 0)


if __name__ == "__main__":
    main()
