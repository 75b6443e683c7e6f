"""A package's `rdf.yaml` as a stranger's text: looked through before it is built, then validated by `bioimageio.spec`.

YAML can hold far more than it shows: aliases of aliases (a billion laughs), lists within themselves, keys given twice,
of which two readers take another one. So its events are counted first; only what is small, flat and plain is built.
"""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from zoo.identifiers import check_version
from zoo.package_archive import PackageInvalid

DESCRIPTION_NAMES = ("rdf.yaml", "bioimageio.yaml")
MAXIMUM_BYTES = 2**20
# Keys and values, aliases counted as what they stand for. The largest of the bioimage.io collection has some 2,000.
MAXIMUM_NODES = 10_000
MAXIMUM_DEPTH = 40
LONGEST_PROBLEM = 160
# libyaml where it is there; the same events from the same text.
EVENTS: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# bioimageio.spec reads YAML with one loader for the whole process, which threads would break for each other.
ONE_READER = threading.Lock()
KEEP = "Leave out of the description what does not describe the model."


@dataclass
class _Open:
    """A mapping or sequence that has not ended: its anchor, the nodes in it so far, and the keys of a mapping."""

    anchor: str | None
    nodes: int = 1
    keys: set[str] | None = None
    at_key: bool = field(default=False)


def read_description(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The description as plain data, every file it names being in the archive under the sha256 it names.

    Raises `PackageInvalid`, or `BadIdentifier` for its version.
    """
    names = [name for name in DESCRIPTION_NAMES if name in archive.namelist()]
    if not names:
        raise PackageInvalid("The package has no rdf.yaml.", "Make it with bioimageio.spec's save_bioimageio_package.")
    if archive.getinfo(names[0]).file_size > MAXIMUM_BYTES:
        raise PackageInvalid(f"{names[0]} is larger than {MAXIMUM_BYTES // 2**20} MiB.", KEEP)
    raw = _read_yaml(names[0], archive.read(names[0]))
    if not isinstance(raw, dict) or raw.get("type") != "model":
        raise PackageInvalid(f"{names[0]} does not describe a model.", "Set `type: model`.")
    if isinstance(raw.get("version"), str):
        check_version(raw["version"])
    for source in _sources(raw):
        if "://" in source:
            raise PackageInvalid(
                f"The package refers to {source[:80]!r} outside itself.", "Put every file into the package."
            )
    return raw


def _read_yaml(name: str, text: bytes) -> Any:
    try:
        _look_through(name, text)
        return yaml.load(text, Loader=EVENTS)  # noqa: S506  (a safe loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PackageInvalid(
            f"{name} is not valid YAML: {str(error).splitlines()[0][:LONGEST_PROBLEM]}.",
            "Check it with `bioimageio validate-format`.",
        ) from error


def _look_through(name: str, text: bytes) -> None:
    """Raise `PackageInvalid` for a text that would grow when it is built, or that two readers may read differently."""
    anchors: dict[str, int] = {}
    open_ones = [_Open(None)]
    for event in yaml.parse(text, Loader=EVENTS):
        here = open_ones[-1]
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            keys: set[str] | None = set() if isinstance(event, yaml.MappingStartEvent) else None
            open_ones.append(_Open(event.anchor, keys=keys, at_key=keys is not None))
            if len(open_ones) > MAXIMUM_DEPTH:
                raise PackageInvalid(f"{name} is nested deeper than {MAXIMUM_DEPTH} levels.", KEEP)
            continue
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            ended = open_ones.pop()
            here, nodes, anchor = open_ones[-1], ended.nodes, ended.anchor
        elif isinstance(event, yaml.ScalarEvent):
            nodes, anchor = 1, event.anchor
            _check_scalar(name, event.value, here)
        elif isinstance(event, yaml.AliasEvent):
            nodes, anchor = _nodes_of(name, event.anchor or "", anchors), None
        else:
            continue
        if anchor:
            anchors[anchor] = nodes
        here.nodes += nodes
        here.at_key = here.keys is not None and not here.at_key
        if sum(each.nodes for each in open_ones) > MAXIMUM_NODES:
            raise PackageInvalid(f"{name} has more than {MAXIMUM_NODES:,} entries.", KEEP)


def _check_scalar(name: str, value: str, here: _Open) -> None:
    strange = next((character for character in value if character < " " and character not in "\t\n\r"), None)
    if strange is not None or "\x7f" in value:
        raise PackageInvalid(f"{name} holds control characters, in {value[:40]!r}.", "Write plain text.")
    if here.keys is not None and here.at_key:
        if value in here.keys:
            raise PackageInvalid(f"{name} names the key {value[:60]!r} twice in one place.", "Name each key once.")
        here.keys.add(value)


def _nodes_of(name: str, anchor: str, anchors: dict[str, int]) -> int:
    if anchor not in anchors:
        raise PackageInvalid(f"{name} has a part that lies within itself (*{anchor[:40]}).", KEEP)
    return anchors[anchor]


def validated(archive: zipfile.ZipFile) -> Any:
    """The description as `bioimageio.spec` has it, a model of format 0.5; raises `PackageInvalid`."""
    from bioimageio.spec import InvalidDescr, ValidationContext, load_description
    from bioimageio.spec.model.v0_5 import ModelDescr

    try:
        with ONE_READER, ValidationContext(perform_io_checks=False, log_warnings=False):
            described = load_description(archive, perform_io_checks=False)
    except Exception as error:
        # Whatever the standard's own reader stumbles over is a fault of the description that it reads.
        problem = (str(error).splitlines() or [type(error).__name__])[0][:LONGEST_PROBLEM]
        raise PackageInvalid(
            f"The model description cannot be read: {problem}.", "Check it with `bioimageio validate-format`."
        ) from error
    if isinstance(described, InvalidDescr):
        raise PackageInvalid(
            f"The model description is not valid: {_problems(described.validation_summary.details)}.",
            "Check it with `bioimageio validate-format`.",
        )
    if not isinstance(described, ModelDescr):
        raise PackageInvalid(
            "The model description is older than 0.5.",
            "Convert it with `bioimageio update-format` and package it again.",
        )
    return described


def _problems(details: Any) -> str:
    """The first three problems, one for each field, as people name them."""
    found: dict[str, str] = {}
    for error in (error for detail in details for error in detail.errors):
        # The validator also names its own functions and the branches of a choice.
        steps = [str(step) for step in error.loc if isinstance(step, int) or str(step).replace("_", "").isalnum()]
        place = ".".join(steps) or "the description"
        if steps[:1] == ["license"]:
            found.setdefault("license", "license: it is not the name of a licence in the SPDX list, such as CC-BY-4.0")
        else:
            found.setdefault(place, f"{place}: {error.msg.removeprefix('Value error, ')[:LONGEST_PROBLEM]}")
    return "; ".join(list(found.values())[:3])


def check_files(archive: zipfile.ZipFile, raw: dict[str, Any]) -> None:
    """Raise `PackageInvalid` unless every file that the description names is there, with the sha256 that it names."""
    present = set(archive.namelist())
    for source in _sources(raw):
        if source not in present:
            raise PackageInvalid(
                f"The package lacks {source[:80]!r}, which its description names.", "Put the file into the zip."
            )
    digests: dict[str, str] = {}
    for source, sha256 in sorted(set(_digests(raw))):
        if source in present and source not in digests:
            with archive.open(source) as file:
                digests[source] = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        if source in present and digests[source] != sha256.lower():
            raise PackageInvalid(
                f"{source[:80]!r} is not the file its sha256 names.", "Package the model again, with the files it has."
            )


def _digests(node: Any) -> Iterator[tuple[str, str]]:
    """Every file with its sha256, wherever a description names both."""
    if isinstance(node, list):
        for item in node:
            yield from _digests(item)
    if isinstance(node, dict):
        source, sha256 = node.get("source"), node.get("sha256")
        if isinstance(source, str) and isinstance(sha256, str):
            yield source, sha256
        for value in node.values():
            yield from _digests(value)


def _sources(node: Any) -> Iterator[str]:
    """Every file a description refers to, at any depth; citations and links name pages, not files."""
    if isinstance(node, list):
        for item in node:
            yield from _sources(item)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key == "source" and isinstance(value, str):
            yield value
        elif key in ("covers",) and isinstance(value, list):
            yield from (name for item in value if (name := source_of(item)))
        elif key in ("documentation", "icon") and isinstance(value, str) and "." in value:
            yield value
        elif key not in ("cite", "links", "training_data", "authors", "config", "maintainers"):
            yield from _sources(value)


def source_of(node: Any) -> str:
    """The file name of a reference, written plainly or with its sha256."""
    if isinstance(node, dict):
        node = node.get("source")
    return node if isinstance(node, str) else ""


def citations(described: Any) -> list[dict[str, Any]]:
    """What is to be cited, each once; DOIs in lower case, in which they are compared."""
    found: dict[str, dict[str, Any]] = {}
    for entry in described.cite:
        cite = entry.model_dump(mode="json", exclude_none=True)
        if "doi" in cite:
            cite["doi"] = cite["doi"].lower()
        found.setdefault(cite.get("doi") or cite.get("url") or cite["text"], cite)
    return list(found.values())
