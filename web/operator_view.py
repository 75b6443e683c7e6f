"""What the operator's page shows, gathered from the scheduler: figures, sentences, and names instead of hashes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from typing import Any

from scheduler.contract import STAGE_LABELS
from web.service import Service
from zoo.documents import MAXIMUM_FILTER_VALUES, Query
from zoo.errors import ZooscopeError

KIND_NAMES = {
    "preview": "Previews",
    "check": "Checks",
    "evaluate": "Evaluations",
    "train": "Trainings",
    "run": "Data sets",
}
BURIED, RUNNING, RECENT = 50, 50, 20
# What is wrong, by what /readyz looks at and the word it has for it.
SENTENCES = {
    ("documents", "down"): "The documents cannot be written: see the log and the disk.",
    ("beanstalkd", "down"): "The queue does not answer. Nothing is lost: jobs go on when it is back.",
    ("beanstalkd", "draining"): "The queue drains: it takes no new jobs until it is started again.",
    ("disk", "full"): "The disk is nearly full: uploads and results are refused.",
    ("disk", "unwritable"): "The data folder cannot be written.",
    ("service", "stopping"): "The service is stopping.",
}


def view(parts: Service) -> dict[str, Any]:
    """The context of operator.html."""
    overview = parts.scheduler.overview
    figures = overview.figures()
    buried = overview.buried(size=BURIED)
    workers = figures["workers"]
    checks = parts.readiness.checks()
    return {
        "now": time.time(),
        "figures": figures,
        "kind_names": KIND_NAMES,
        "stages": STAGE_LABELS,
        "checks": checks,
        "disk_free": shutil.disk_usage(parts.settings.blobs_folder).free,
        "lamp_and_sentence": lamp_and_sentence(checks, figures),
        "workers": workers,
        "model_names": model_names(parts, [sha256 for worker in workers for sha256 in worker["models"]]),
        "running": overview.running(RUNNING),
        "buried": buried,
        "failures": overview.failures(),
        "recent": overview.recent(RECENT).items,
    }


def lamp_and_sentence(checks: Mapping[str, str], figures: Mapping[str, Any]) -> tuple[str, str]:
    """The worst of it, in one sentence; the lamp is well, busy or down."""
    for name, word in checks.items():
        if word != "ok":
            return "down", SENTENCES.get((name, word), f"{name}: {word}.")
    but = [] if figures["workers"] else ["no worker is connected"]
    if figures["paused"]:
        but.append(" and ".join(KIND_NAMES[kind].lower() for kind in figures["paused"]) + " are paused")
    if figures["buried"]:
        but.append(f"{_count(figures['buried'], 'job')} failed for good and {_wait(figures['buried'])} for you")
    return ("busy", f"All is well, but {', and '.join(but)}.") if but else ("well", "All is well.")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"


def model_names(parts: Service, packages: list[str]) -> dict[str, str]:
    """Name and version of each package by its sha256; one that is not known here is left out."""
    wanted = sorted(set(packages))[:MAXIMUM_FILTER_VALUES]
    if not wanted:
        return {}
    try:
        found = parts.documents.search("model_versions", Query(filters={"package_sha256": wanted}, size=len(wanted)))
    except ZooscopeError:
        return {}
    return {one.body["package_sha256"]: f"{one.body['name']} {one.body['version']}" for one in found.items}
