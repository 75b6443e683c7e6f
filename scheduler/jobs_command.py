"""`zooscope jobs`: what an operator does about jobs from the terminal, over the scheduler's HTTP API.

The token is the service's own, read from the data folder, or given in ZOOSCOPE_SERVICE_TOKEN on another machine.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import requests

from scheduler import contract
from scheduler.fairness import KINDS
from zoo.errors import Unavailable, UserError
from zoo.secrets import SERVICE_TOKEN, read_or_make_key
from zoo.settings import Settings, read_settings

TIMEOUT_SECONDS = 30.0
LONGEST_REASON = 70


class ServerRefused(UserError):
    code = "server-refused"


class TokenMissing(UserError):
    code = "token-missing"


class ServerAway(Unavailable):
    code = "server-away"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", help="URL of the service; this machine's if left out")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("buried", help="list jobs that failed after all their attempts")
    for action, told in (
        ("show", "tell all about jobs"),
        ("kick", "try buried jobs once more, from their first attempt on"),
        ("cancel", "stop jobs that wait or run"),
        ("delete", "remove jobs with all they had"),
    ):
        actions.add_parser(action, help=told).add_argument("uuid", nargs="+")
    pause = actions.add_parser("pause", help="hand out no jobs of a kind for a while; running ones are left alone")
    pause.add_argument("kind", choices=KINDS)
    pause.add_argument("seconds", type=int)
    actions.add_parser("resume", help="end a pause").add_argument("kind", choices=KINDS)


def run(arguments: argparse.Namespace) -> int:
    """Do it; returns 0. Raises TokenMissing, ServerRefused with the server's sentence, ServerAway
    when it does not answer.
    """
    settings = read_settings()
    server = Server(arguments.server or f"http://{settings.host}:{settings.port}", service_token(settings))
    if arguments.action == "buried":
        _list_buried(server)
    elif arguments.action in ("pause", "resume"):
        seconds = arguments.seconds if arguments.action == "pause" else 0
        left = server.ask("POST", contract.path(contract.PAUSE), {"kind": arguments.kind, "seconds": seconds})
        told = f"paused for {left[arguments.kind]} s" if arguments.kind in left else "handed out"
        print(f"jobs of the kind {arguments.kind} are {told}")
    else:
        for uuid in arguments.uuid:
            _one(server, arguments.action, uuid)
    return 0


def service_token(settings: Settings) -> str:
    """Never a new one: the running service would not know it."""
    if given := os.environ.get("ZOOSCOPE_SERVICE_TOKEN"):
        return given
    if not (settings.secrets_folder / SERVICE_TOKEN).exists():
        raise TokenMissing(
            f"There is no token in {str(settings.secrets_folder)!r}.",
            "Run this in the service's folder, or put its secrets/service-token into ZOOSCOPE_SERVICE_TOKEN.",
        )
    return read_or_make_key(settings, SERVICE_TOKEN)


def _one(server: Server, action: str, uuid: str) -> None:
    if action == "delete":
        server.ask("DELETE", contract.path(contract.DELETE, uuid=uuid))
        print(f"{uuid} deleted")
        return
    template = {"show": contract.JOB, "kick": contract.KICK, "cancel": contract.CANCEL}[action]
    job = server.ask("GET" if action == "show" else "POST", contract.path(template, uuid=uuid))
    print(f"{uuid} {job['state']}")
    if action == "show":
        print(f"  {job['kind']} of {job['model']['id']} {job['model']['version']}, attempt {job['attempt']}")
        if told := _expected(job):
            print(f"  {told}")
        for line in job["history"]:
            print(f"  {_when(line['at'])} {line['what']} {line['detail']}".rstrip())


def _expected(job: dict[str, Any]) -> str:
    """When a job that is not over will be, such as "3 before it; starts in about 20 s, done in about 26 s"."""
    eta = job.get("eta")
    if not eta:
        return ""
    told = [f"{job['place']} before it"] if job["place"] else []
    if job.get("held"):
        told.append("held until another one of its owner ends")
    if eta["end_s"] is None:
        return "; ".join([*told, "no worker that can run it is connected"])
    start = f"starts in about {eta['start_s']:.0f} s, " if job["state"] == "queued" else ""
    return "; ".join([*told, f"{start}done in about {eta['end_s']:.0f} s"])


def _list_buried(server: Server) -> None:
    seen, page = 0, 1
    while items := (answer := server.ask("GET", contract.path(contract.BURIED) + f"?page={page}"))["items"]:
        for job in items:
            reason = (job["error"] or {}).get("message", "")[:LONGEST_REASON]
            print(f"{job['uuid']} {_when(job['finished_at'])} {job['kind']} {job['model']['id']}: {reason}")
        seen, page = seen + len(items), page + 1
        if seen >= answer["total"]:
            break
    print(f"{seen} buried")


def _when(epoch: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch))


class Server:
    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            answer = requests.request(
                method, self._url + path, json=body, headers=self._headers, timeout=TIMEOUT_SECONDS
            )
        except requests.RequestException as error:
            raise ServerAway(
                f"{self._url} does not answer.", "Start it with `zooscope up`, or name --server."
            ) from error
        if answer.ok:
            return answer.json()
        try:
            error_body = answer.json()["error"]
            raise ServerRefused(str(error_body["message"]), str(error_body.get("hint", "")))
        except (ValueError, KeyError, TypeError):
            raise ServerRefused(f"{self._url} answered {answer.status_code}.", "Is it Zooscope?") from None
