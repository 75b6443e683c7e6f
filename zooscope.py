"""The front door: `zooscope COMMAND`.

Each command's module is imported only when that command runs, so that `zooscope --help` and mistakes answer at once.
A command module has `add_arguments(parser)` and `run(arguments) -> int`, the exit status. Errors meant for people end
here as one sentence on stderr: exit status 2 when the user can put it right, 1 otherwise.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from dataclasses import dataclass

from zoo.errors import ZooscopeError

INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    name: str
    module: str
    help: str


COMMANDS = (
    Command("up", "web.up", "start the whole service: queue, web server and workers"),
    Command("preview", "worker.preview_command", "run one model on one region of an image, here in the terminal"),
    Command("worker", "worker.command", "start a worker for a service on this or another machine"),
    Command("jobs", "scheduler.jobs_command", "look after jobs: list, kick and delete buried ones, pause"),
    Command("workers", "scheduler.workers_command", "list and drain workers, make and revoke their tokens"),
    Command("search", "zoo.search_command", "search the models of a Zooscope"),
    Command("fetch", "zoo.fetch_command", "download a model's package, resumed and verified"),
    Command("publish", "zoo.publish_command", "add a checked model package to the zoo, or submit it to a Zooscope"),
    Command("models", "zoo.models_command", "list the models of the zoo"),
    Command("import-cil", "zoo.import_cil_command", "add records of the Cell Image Library to the documents"),
    Command("dois", "zoo.dois_command", "list the DOIs of the zoo, and go on with those that wait"),
    Command("accounts", "zoo.accounts_command", "list and make accounts, give roles, set passwords, lock them"),
    Command("reindex", "zoo.reindex_command", "build the search indices anew, while the service runs"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] in (["version"], ["--version"]):
        from importlib.metadata import version

        print(f"zooscope {version('zooscope')}")
        return 0
    named = _front_parser().parse_args(given[:1])
    command = next(command for command in COMMANDS if command.name == named.command)
    try:
        module = importlib.import_module(command.module)
        parser = argparse.ArgumentParser(prog=f"zooscope {command.name}", description=command.help)
        module.add_arguments(parser)
        status: int = module.run(parser.parse_args(given[1:]))
        sys.stdout.flush()
    except ZooscopeError as error:
        print(f"zooscope: {error.message} {error.hint}".rstrip(), file=sys.stderr)
        return 2 if error.status < 500 else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _front_parser() -> argparse.ArgumentParser:
    helps = {command.name: command.help for command in COMMANDS} | {"version": "print the version"}
    listed = "\n".join(f"  {name:<12}{text}" for name, text in helps.items())
    parser = argparse.ArgumentParser(
        prog="zooscope",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Test-drive any model of a microscopy model zoo on your own region of interest.",
        epilog=f"commands:\n{listed}\n\n`zooscope COMMAND --help` tells more about one of them.",
    )
    parser.add_argument("command", choices=list(helps), metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
