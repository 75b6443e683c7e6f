"""`zooscope workers`: what an operator does about workers from the terminal, over the scheduler's HTTP API.

As for `zooscope jobs`, the token is the service's own, or that in ZOOSCOPE_SERVICE_TOKEN on another machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from scheduler import contract
from scheduler.fairness import KINDS
from scheduler.jobs_command import Server, service_token
from scheduler.workers import PRESENT_SECONDS
from zoo.settings import read_settings

COLUMNS = ("WORKER", "STATE", "DEVICE", "GPU", "RAM", "RUNS", "WARM", "TOKEN", "VERSION", "SEEN")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", help="URL of the service; this machine's if left out")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list workers and their tokens; what is done if no action is named")
    listing.add_argument("--all", action="store_true", help="also those that were not seen for a minute")
    token = actions.add_parser("token", help="make a token for a worker, print it once")
    token.add_argument("name")
    token.add_argument("--kinds", nargs="+", choices=KINDS, default=[], help="kinds of jobs it is good for (all)")
    revoke = actions.add_parser("revoke", help="refuse a worker's token from now on and take its job away")
    revoke.add_argument("name")
    drain = actions.add_parser("drain", help="let workers finish their job and give them no other")
    drain.add_argument("name", nargs="+")
    resume = actions.add_parser("resume", help="give workers jobs again")
    resume.add_argument("name", nargs="+")


def run(arguments: argparse.Namespace) -> int:
    """Do it; returns 0. Raises what `zooscope jobs` raises."""
    settings = read_settings()
    server = Server(arguments.server or f"http://{settings.host}:{settings.port}", service_token(settings))
    if arguments.action == "token":
        made = server.ask("POST", _path(contract.NEW_TOKEN, arguments.name), {"kinds": arguments.kinds})
        print(made["token"])
    elif arguments.action == "revoke":
        jobs = server.ask("POST", _path(contract.REVOKE, arguments.name))["jobs"]
        print(f"the token of {arguments.name} is refused from now on; {jobs} of its jobs go to other workers")
    elif arguments.action in ("drain", "resume"):
        for name in arguments.name:
            _drain(server, name, arguments.action == "drain")
    else:
        _list(server.ask("GET", contract.path(contract.WORKERS)), getattr(arguments, "all", False))
    return 0


def _path(template: str, name: str) -> str:
    return contract.path(template, name=quote(name, safe=""))


def _drain(server: Server, name: str, draining: bool) -> None:
    worker = server.ask("POST", _path(contract.DRAIN, name), {"draining": draining})
    if not draining:
        print(f"{name} takes jobs again")
    elif worker["job"]:
        print(f"{name} finishes its job {worker['job']} and takes no other")
    else:
        print(f"{name} takes no jobs")


def _list(told: Mapping[str, Any], everyone: bool) -> None:
    oldest = time.time() - PRESENT_SECONDS
    shown = [worker for worker in told["workers"] if everyone or worker["seen_at"] >= oldest]
    rows = [COLUMNS, *(_row(worker, worker["seen_at"] < oldest) for worker in shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows if shown else ():
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"{len(shown)} {'worker' if len(shown) == 1 else 'workers'}")
    for token in told["tokens"]:
        revoked = token["revoked_at"]
        state = f"revoked {_day(revoked)}" if revoked else "good"
        print(f"token {token['name']}: {state}, made {_day(token['created_at'])}, for {', '.join(token['kinds'])}")


def _row(worker: Mapping[str, Any], gone: bool) -> Sequence[str]:
    gpu = f"{worker['device_name']} {worker['gpu_memory_gb']:g} GB".strip() if worker["gpu_formats"] else "-"
    state = "gone" if gone else worker["state"] + (", draining" if worker["draining"] and worker["job"] else "")
    return (
        worker["name"], state, worker["device"] or "-", gpu, f"{worker['memory_gb']:g} GB", "+".join(worker["formats"]),
        str(len(worker["models"])), worker["token"] or "installation", worker["version"] or "-",
        f"{max(0, time.time() - worker['seen_at']):.0f} s ago",
    )  # fmt: skip


def _day(epoch: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(epoch))
