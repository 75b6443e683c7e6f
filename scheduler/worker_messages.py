"""What workers tell of themselves, read strictly: names and numbers from strangers end in documents and on pages."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.capabilities import FORMATS
from scheduler.contract import ReserveRequest, WorkerFacts
from scheduler.messages import BadMessage, read_field, read_number, read_strings
from zoo.identifiers import is_sha256

MAXIMUM_NAME = 100
MAXIMUM_MODELS = 64
MOST_MEMORY_GB = 1e6


def read_request(body: dict[str, Any]) -> ReserveRequest:
    """A ReserveRequest; raises BadMessage."""
    return ReserveRequest(
        worker=_name(body, "worker") or "worker",
        capabilities=read_strings(body.get("capabilities", ["preview"])),
        timeout_seconds=read_number(body.get("timeout_seconds", 20.0)),
        warm_models=tuple(one for one in read_strings(body.get("warm_models", [])) if is_sha256(one))[:MAXIMUM_MODELS],
        device=_name(body, "device", ""),
        facts=_facts(read_field(body, "facts", dict, {})),
    )


def read_along(files: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """The bytes of those files of a result that came along with it, by name; raises BadMessage."""
    try:
        return {str(file["name"]): b64decode(file["data"], validate=True) for file in files if "data" in file}
    except (KeyError, TypeError, ValueError):
        raise BadMessage("A file that comes along with a result is not base64.", "See scheduler/contract.py.") from None


def _facts(body: dict[str, Any]) -> WorkerFacts:
    usual = WorkerFacts()
    return WorkerFacts(
        formats=_formats(body.get("formats", list(usual.formats))),
        gpu_formats=_formats(body.get("gpu_formats", [])),
        gpu_memory_gb=_memory(body.get("gpu_memory_gb", 0.0)),
        device_name=_name(body, "device_name", ""),
        memory_gb=_memory(body.get("memory_gb", 0.0)),
        version=_name(body, "version", ""),
    )


def _name(body: dict[str, Any], field: str, default: str | None = None) -> str:
    given = read_field(body, field, str, default)[:MAXIMUM_NAME]
    return "".join(letter if letter.isprintable() else "?" for letter in given)


def _formats(given: Any) -> tuple[str, ...]:
    """Formats of a newer worker that are not known here are left out."""
    return tuple(one for one in FORMATS if one in read_strings(given))


def _memory(given: Any) -> float:
    memory = read_number(given)
    if not 0 <= memory <= MOST_MEMORY_GB:
        raise BadMessage(f"The worker tells of {memory:g} GB of memory.", "Tell GB of 2^30 bytes.")
    return memory
