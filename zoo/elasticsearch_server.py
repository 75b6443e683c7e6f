"""A real Elasticsearch server as a process of ours: for tests, and for `make run ELASTICSEARCH=1`.

It is the server of Maven's artifact `integ-test-zip`, Elasticsearch without its optional modules and without a JDK of
its own: it needs Java 17 and Maven, which fetches it once. It refuses to run as root, so root lends it `nobody`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from elasticsearch import ApiError, Elasticsearch, TransportError

from zoo.errors import Unavailable, UserError

VERSION = "8.19.8"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
OLDEST_JAVA = 17
HEAP = "512m"
START_SECONDS = 240.0
STOP_SECONDS = 20.0
FETCH_SECONDS = 600.0
ASK_SECONDS = 0.2
UNPRIVILEGED = "nobody"


class ElasticsearchMissing(UserError):
    """What a server needs is not on this machine."""

    code = "elasticsearch-missing"


class ElasticsearchFailed(Unavailable):
    code = "elasticsearch-failed"


def fetch(cache: Path) -> Path:
    """The server's zip in `cache`, fetched with Maven when it is not there yet. Raises ElasticsearchMissing."""
    archive = cache / f"elasticsearch-{VERSION}.zip"
    if archive.exists():
        return archive
    maven = shutil.which("mvn")
    if maven is None:
        raise ElasticsearchMissing("Elasticsearch cannot be fetched: Maven is not installed.", "Install maven.")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        command = [maven, "-q", "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise ElasticsearchMissing("Elasticsearch could not be fetched in time.", "Try again.") from None
        fetched = Path(folder) / archive.name
        if done.returncode or not fetched.exists():
            raise ElasticsearchMissing("Elasticsearch could not be fetched with Maven.", done.stdout.strip()[-500:])
        fetched.replace(archive)
    return archive


def java_home() -> Path:
    """The home of the machine's Java, 17 or newer. Raises ElasticsearchMissing."""
    given = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(given) / "bin")) if given else shutil.which("java")
    if java is None:
        raise ElasticsearchMissing("Elasticsearch needs Java, and there is none.", f"Install Java {OLDEST_JAVA}.")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise ElasticsearchMissing(f"Elasticsearch needs Java {OLDEST_JAVA}; there is {told[:60]!r}.", "Install it.")
    return Path(java).resolve().parent.parent


@contextlib.contextmanager
def running(cache: Path, data: Path | None = None) -> Iterator[str]:
    """A server on a free port, and its URL; `data` keeps its indices, else they go with it.

    Raises ElasticsearchMissing where it cannot be had, ElasticsearchFailed when it does not start.
    """
    home, archive = java_home(), fetch(cache)
    with tempfile.TemporaryDirectory(prefix="zooscope-elasticsearch-") as scratch:
        folder = Path(scratch)
        server = unpack(archive, folder)
        kept = (data or folder / "data").resolve()
        kept.mkdir(parents=True, exist_ok=True)
        user = _lend(folder, kept)
        port = _free_port()
        with (folder / "server.log").open("w+b") as log:
            process = subprocess.Popen(
                command(server, port, kept, folder / "logs"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=user, start_new_session=True, cwd=folder,
                env=_environment(home, folder),
            )  # fmt: skip
            try:
                _wait_until_healthy(process, port, folder / "server.log")
                yield f"http://127.0.0.1:{port}"
            finally:
                _stop(process)


def command(server: Path, port: int, data: Path, logs: Path) -> list[str]:
    options = {
        "discovery.type": "single-node",
        "xpack.security.enabled": "false",
        "network.host": "127.0.0.1",
        "http.port": port,
        "transport.port": f"{_free_port()}",
        "path.data": data,
        "path.logs": logs,
        # A developer's disk is often fuller than a server's may be.
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }
    return [
        str(server / "bin" / "elasticsearch"),
        *(part for item in options.items() for part in ("-E", f"{item[0]}={item[1]}")),
    ]


def unpack(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    server = next(folder.glob("elasticsearch-*"))
    for program in (server / "bin").iterdir():
        program.chmod(0o755)
    return server


def _environment(home: Path, folder: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {"ES_JAVA_HOME": str(home), "ES_JAVA_OPTS": f"-Xms{HEAP} -Xmx{HEAP}", "HOME": str(folder)}


def _lend(*folders: Path) -> str | None:
    """Whom the server runs as: whoever we are, but `nobody` for root, who then owns the folders."""
    if os.geteuid() != 0:
        return None
    owner = pwd.getpwnam(UNPRIVILEGED)
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    return UNPRIVILEGED


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with Elasticsearch(f"http://127.0.0.1:{port}", max_retries=0) as client:
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(ApiError, TransportError):
                if client.cluster.health()["status"] in ("green", "yellow"):
                    return
            threading.Event().wait(ASK_SECONDS)
    raise ElasticsearchFailed("Elasticsearch did not start.", log.read_text(errors="replace")[-2000:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def main() -> int:
    """`python -m zoo.elasticsearch_server CACHE DATA COMMAND...`: run a command beside a server, and tell it where."""
    cache, data, *command = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command hears it as well, and ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped, too
    print("Starting Elasticsearch, fetched with Maven the first time; Ctrl-C stops all", flush=True)
    try:
        with running(Path(cache), Path(data)) as url:
            print(f"Elasticsearch is at {url}", flush=True)
            process = subprocess.Popen(command, env=os.environ | {"ZOOSCOPE_ELASTICSEARCH": url}, preexec_fn=_hear)
            signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            return process.wait()
    except (ElasticsearchMissing, ElasticsearchFailed) as error:
        print(f"zooscope: {error.message} {error.hint}", file=sys.stderr)
        return 1


def _hear() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main())
