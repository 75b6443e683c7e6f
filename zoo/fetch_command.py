"""`zooscope fetch MODEL[@version]`: download a package, resumed where it broke off, verified, all or nothing."""

from __future__ import annotations

import argparse
import fcntl
import os
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from zoo.disk import DiskFull, is_full
from zoo.errors import UserError
from zoo.identifiers import BadIdentifier, check_slug, check_version, is_sha256
from zoo.packages import file_sha256
from zoo.server_arguments import add_server, client, shown
from zoo.settings import read_settings
from zoo.zoo_client import TRIES, BadServer, Progress, Refused, ServiceAway, ZooClient

RANGE_REFUSED = 416


class BadModelName(UserError):
    code = "bad-model-name"


class FileInTheWay(UserError):
    code = "file-in-the-way"


class WrongContents(UserError):
    code = "wrong-contents"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL[@version]", help="a model's id, such as nuclei or nuclei@1.2.0")
    add_server(parser, "the Zooscope to fetch from; default: ZOOSCOPE_SERVER, or the one on this machine")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="PATH", help="folder or file to write (default: here)"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there with other contents")


def run(arguments: argparse.Namespace) -> int:
    id, at, version = arguments.model.partition("@")
    if not id or (at and not version):
        raise BadModelName(f"{arguments.model!r} names no model.", "Write it as nuclei, or nuclei@1.2.0.")
    path = f"/api/v1/models/{quote(id, safe='')}" + (f"/versions/{quote(version, safe='')}" if version else "")
    with closing(client(read_settings(), arguments.server)) as zoo:
        model = _told(zoo, zoo.get(path), id, version)
        target = arguments.output
        if target.is_dir():
            target = target / f"{model['id']}-{model['version']}.zip"
        fetch(zoo, model, target, arguments.force, shown(f"{model['id']} {model['version']}"))
    print(f"{target} {model['id']} {model['version']}, sha256 {model['package_sha256']}")
    return 0


def _told(zoo: ZooClient, model: dict[str, Any], id: str, version: str) -> dict[str, Any]:
    """The version's document, if it is of the model that was asked for: its words become the name of a file here."""
    try:
        there = check_slug(str(model["id"])), check_version(str(model["version"]))
        right = there[0] == id and version in ("", there[1]) and is_sha256(str(model["package_sha256"]))
        right = right and isinstance(model["package_bytes"], int) and model["package_bytes"] >= 0
    except (KeyError, BadIdentifier):
        right = False
    if not right:
        raise BadServer(f"{zoo.server} answers with another model than was asked for.", "Tell its operator.")
    return model


def fetch(zoo: ZooClient, model: dict[str, Any], target: Path, force: bool, progress: Progress) -> None:
    """Write the package of a version's document to `target`, which appears whole and verified or not at all."""
    sha256, size = str(model["package_sha256"]), int(model["package_bytes"])
    if target.exists():
        if target.is_file() and target.stat().st_size == size and file_sha256(target) == sha256:
            return
        if target.is_dir() or not force:
            raise FileInTheWay(f"{target} is there already, with other contents.", "Use --force, or another -o.")
    if not target.parent.is_dir():
        raise FileInTheWay(f"There is no folder {target.parent}.", "Make it first.")
    address = f"/api/v1/models/{quote(str(model['id']), safe='')}/versions/{quote(str(model['version']), safe='')}"
    # Named by its contents: a part of another version is never gone on with.
    part = target.with_name(f".{target.name}.{sha256[:16]}.part")
    try:
        with part.open("a+b") as file:
            _alone(file, target)
            for last in (False, True):
                _download(zoo, f"{address}/package.zip?sha256={sha256}", file, size, sha256, progress)
                if file_sha256(part) == sha256:
                    break
                # What lay there from an earlier try was damaged; from the beginning, once.
                file.truncate(0)
                if last:
                    raise WrongContents(
                        f"What {zoo.server} sent is not the package whose sha256 it told.", "Tell its operator."
                    )
            file.flush()
            os.fsync(file.fileno())
            part.replace(target)
    except OSError as error:
        if is_full(error):
            raise DiskFull(target.parent) from error
        raise FileInTheWay(f"{target} cannot be written: {error.strerror}.", "Choose another place with -o.") from error


def _alone(file: BinaryIO, target: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileInTheWay(f"Another fetch is writing {target}.", "Wait for it to end.") from None


def _download(zoo: ZooClient, path: str, file: BinaryIO, size: int, sha256: str, progress: Progress) -> None:
    """Append what is missing; a line that breaks is taken up again as long as something comes."""
    fruitless = 0
    while True:
        start = file.seek(0, os.SEEK_END)
        if start > size:
            start = file.truncate(0)
        progress(start, size)
        if start == size:
            return
        try:
            with zoo.stream(path, start, sha256) as (begins, chunks):
                file.truncate(begins)
                for chunk in chunks:
                    file.write(chunk)
                    progress(min(file.tell(), size), size)
                    if file.tell() > size:
                        break
        except ServiceAway:
            fruitless = fruitless + 1 if file.tell() == start else 0
            if fruitless >= TRIES:
                raise
            continue
        except Refused as refused:
            if refused.status != RANGE_REFUSED or start == 0:
                raise
            file.truncate(0)
            continue
        fruitless = fruitless + 1 if file.tell() <= start else 0
        if fruitless >= TRIES:
            raise ServiceAway(f"{zoo.server} sends nothing.", "Try again in a while.")
