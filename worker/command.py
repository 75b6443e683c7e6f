"""`zooscope worker`: one worker for the service on this machine or on another one, until it is told to stop."""

from __future__ import annotations

import argparse
import fcntl
import ipaddress
import logging
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from scheduler.contract import name_in_token
from worker.cards import Pool, devices_for, list_cards, worker_commands
from worker.connections import is_address
from worker.supervisor import Supervisor
from zoo import log_lines
from zoo.errors import UserError
from zoo.identifiers import is_slug
from zoo.secrets import WORKER_TOKEN, worker_token
from zoo.settings import Settings, read_settings

DEVICES = re.compile(r"auto|cpu|gpu(:\d+)?")


class BadDevice(UserError):
    code = "bad-device"


class BadWorkerName(UserError):
    code = "bad-worker-name"


class NoServer(UserError):
    code = "no-server"


class NoToken(UserError):
    code = "no-token"


class WorkerNameTaken(UserError):
    code = "worker-name-taken"
    status = 409


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", metavar="URL", help="the service; default: ZOOSCOPE_WORKER_SERVER, or this machine")
    parser.add_argument(
        "--token", help="the worker token; default: ZOOSCOPE_WORKER_TOKEN, or the one in the data folder"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder for downloads and unfinished results")
    parser.add_argument("--name", help="the worker's name, one of its own; default: its token's, or the machine's")
    parser.add_argument(
        "--device", default="auto", help="cpu, gpu:0, gpu:1, ..., or auto (the default): a worker on every GPU"
    )


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings()
    if arguments.data is not None:
        settings = settings.replace(data=arguments.data)
    server = arguments.server or settings.worker_server or f"http://{settings.host}:{settings.port}"
    token = arguments.token or settings.worker_token
    if not token:
        if (arguments.server or settings.worker_server) and not (settings.secrets_folder / WORKER_TOKEN).exists():
            raise NoToken(
                "This worker has no token.",
                "Give it in ZOOSCOPE_WORKER_TOKEN; on the service, `zooscope workers token NAME` makes one.",
            )
        token = worker_token(settings)
    machine = re.sub(r"[^a-z0-9-]+", "-", platform.node().lower()).strip("-")
    name = arguments.name or name_in_token(token) or machine or "worker"
    return main(settings, name, server, token, arguments.device)


def main(settings: Settings, name: str, server: str, token: str, device: str) -> int:
    """Be a worker, or one on each of several GPUs, until SIGTERM or SIGINT; returns the exit status.

    Raises `BadWorkerName`, `BadDevice`, `NoServer`, `WorkerNameTaken`, and `BadToken` when the service refuses it.
    """
    if not is_slug(name):
        raise BadWorkerName(f"{name!r} cannot be a worker's name.", "Use lower-case letters, digits and hyphens.")
    if not DEVICES.fullmatch(device):
        raise BadDevice(f"There is no device {device!r}.", "Use cpu, gpu:0, gpu:1, ..., or auto.")
    if not is_address(server):
        raise NoServer(f"{server!r} is not the address of a service.", "Give --server http://host:port.")
    os.umask(0o077)
    log_lines.begin(name if name.startswith("worker") else f"worker {name}", settings.log_format)
    if not _private(server):
        logging.warning("The token and all images travel unencrypted to %s: use https.", server)
    devices = devices_for(device, list_cards, os.environ)
    if len(devices) > 1:
        logging.info("%d GPUs: one worker on each.", len(devices))
        environment = settings.replace(worker_token=token).environment()
        return Pool(worker_commands(name, server, str(settings.data), devices), os.environ | environment).run()
    with _own_name(Path(settings.workers_folder) / name):
        Supervisor(settings, name, server, token, device).run()
    return 0


def _private(server: str) -> bool:
    """Whether nobody on the way can read what is sent: it is encrypted, or stays on this machine."""
    parts = urlsplit(server)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


@contextmanager
def _own_name(folder: Path) -> Iterator[None]:
    """Hold the worker's folder: a second worker in it would post and delete the first one's results."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkerNameTaken(
                f"Another worker called {folder.name} is running here.", "Give this one a --name of its own."
            ) from error
        yield
