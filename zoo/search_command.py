"""`zooscope search`: the models of a Zooscope that match, a line for each; `--json` for programs."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from typing import Any

from zoo.catalogue import FACETS
from zoo.errors import UserError
from zoo.server_arguments import add_server, client
from zoo.settings import read_settings
from zoo.zoo_client import plain

MOST = 100


class BadFilter(UserError):
    code = "bad-filter"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", help="words to search for; the beginnings of words and typos are found too")
    add_server(parser, "the Zooscope to search; default: ZOOSCOPE_SERVER, or the one on this machine")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help=f"only models with this value, again and again if wished: {', '.join(FACETS)}",
    )
    parser.add_argument(
        "--limit", type=int, default=20, metavar="N", help=f"at most so many, up to {MOST} (default: 20)"
    )
    parser.add_argument("--json", action="store_true", help="print the answer of the service as JSON")


def run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.limit <= MOST:
        raise BadFilter(f"--limit is {arguments.limit}.", f"Give a number from 1 to {MOST}.")
    query: dict[str, Any] = {"q": " ".join(arguments.words) or None, "size": arguments.limit}
    for text in arguments.where:
        field, equals, value = text.partition("=")
        if not equals or not field or not value:
            raise BadFilter(f"--where {text!r} is not FIELD=VALUE.", "Write it as about.task=instances.")
        query.setdefault(field, []).append(value)
    with closing(client(read_settings(), arguments.server)) as zoo:
        found = zoo.get("/api/v1/models", **query)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    for model in found["items"]:
        print(plain(f"{model['id']:<24} {model['version']:<10} {model.get('finds') or model.get('description') or ''}"))
    if found["total"] > len(found["items"]):
        print(f"and {found['total'] - len(found['items'])} more: give more words, or a higher --limit")
    return 0
