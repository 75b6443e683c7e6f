"""What commands that talk to a Zooscope have in common: its address, the token, how progress is shown."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from zoo.errors import UserError
from zoo.settings import Settings
from zoo.zoo_client import Progress, ZooClient

REDRAW_SECONDS = 0.2


class NoToken(UserError):
    code = "no-token"


def add_server(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("--server", metavar="URL", help=help)


def add_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="file with an API token; default: the one in ZOOSCOPE_TOKEN"
    )


def client(settings: Settings, server: str | None, token: str = "") -> ZooClient:
    """The Zooscope that is meant: `server`, else ZOOSCOPE_SERVER, else the one of this machine."""
    address = server or settings.server or f"http://{settings.host}:{settings.port}"
    parts = urlsplit(address)
    if token and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        print("zooscope: the token travels unencrypted over http; use https where there is one.", file=sys.stderr)
    return ZooClient(address, token)


def read_token(settings: Settings, file: Path | None) -> str:
    """The API token of the file, or of ZOOSCOPE_TOKEN; raises `NoToken`."""
    token = settings.token
    if file is not None:
        try:
            token = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoToken(
                f"The token file {file} cannot be read.", "Give the path of a file with the token."
            ) from error
    if not token:
        raise NoToken(
            "Publishing needs an API token.",
            "Make one on your account's page, /account, and put it into ZOOSCOPE_TOKEN or a --token-file.",
        )
    return token


def shown(what: str) -> Progress:
    """Tells on a terminal how much is done; elsewhere nothing, so that logs stay readable."""
    if not sys.stderr.isatty():
        return lambda done, total: None
    last = 0.0

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < REDRAW_SECONDS:
            return
        last = now
        share = 100 * done // total if total else 100
        end = "\n" if done >= total else ""
        print(f"\r{what} {share:3d} % of {total / 2**20:.1f} MiB", end=end, file=sys.stderr, flush=True)

    return show
