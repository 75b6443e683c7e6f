"""What a draft still lacks before a package can be made of it: a sentence for each field, as the author types."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zoo.accounts import is_orcid
from zoo.identifiers import VERSION, is_slug
from zoo.package_archive import PackageInvalid
from zoo.package_fields import (
    CHOICE,
    FIELDS,
    LIST,
    LONGEST_LINE,
    MOST_ENTRIES,
    MOST_ROWS,
    NUMBER,
    ROWS,
    WHOLE,
    Field,
    is_empty,
    number,
    rows,
    text,
    texts,
    whole,
)
from zoo.package_head_form import head_of

NAME = re.compile(r"[\w +\-()]*", re.ASCII)
SHORTEST_NAME = 5
DOI = re.compile(r"10\.\d{4,9}/\S{1,200}")
# Of a number of the form below which a box of test tensors would be no image any more.
Problem = tuple[str, str]


def missing(fields: Mapping[str, Any], files: Collection[str]) -> list[dict[str, str]]:
    """[{field, sentence}] in the order of the form, empty when a package can be made; `files` are the roles present
    (package, weights, test_image, cover)."""
    bare = "package" not in files
    found = list(_files(files))
    for field in FIELDS:
        if field.bare and not bare:
            continue
        if is_empty(fields, field):
            if field.required:
                found.append((field.name, NEEDED.get(field.name, f"{field.label}: this is needed.")))
            continue
        found += [(field.name, sentence) for sentence in _field(fields, field)]
    if bare and not {name for name, _ in found} & {"output_channels", "structure"}:
        found += _network(fields)
    seen: set[str] = set()
    return [
        {"field": name, "sentence": sentence}
        for name, sentence in found
        if not (name in seen or seen.add(name))  # type: ignore[func-returns-value]
    ]


NEEDED = {
    "name": "Give the model a name, so that people find it.",
    "id": "Choose the model's address: it is made of the name unless you type another.",
    "version": "Give the version, such as 1.0.0.",
    "description": "Say in a sentence or two what the model finds, and in what images.",
    "task": "Choose what the model does.",
    "structure": "Name what it finds: nucleus, for example.",
    "modality": "Name how the images are made: fluorescence microscopy, for example.",
    "authors": "Name at least one author.",
    "licence": "Choose a licence: without one nobody may use the model.",
    "axes": "Choose the axes of the network's input.",
    "channel_names": "Name the channels of the image, in the order the network takes them.",
    "output_channels": "Name the maps that the network makes, in their order.",
    "normalisation": "Choose what is done to the image before the network sees it: as in its training.",
    "stride": "Say what the sides of an image must be multiples of: 1, if anything goes.",
    "sample_licence": "Choose the licence of the test image: it is shown with the model.",
}


def _files(files: Collection[str]) -> Iterator[Problem]:
    if not {"package", "weights"} & set(files):
        yield "package", "Drop a package, or a .keras or .onnx network."
    elif "package" not in files and "test_image" not in files:
        yield "test_image", "Drop an image to test the network on: one of the kind it is made for."


def _field(fields: Mapping[str, Any], field: Field) -> Iterator[str]:
    if field.name in SPECIAL:
        yield from SPECIAL[field.name](fields)
    if field.kind in (NUMBER, WHOLE):
        found = number(fields, field.name) if field.kind == NUMBER else whole(fields, field.name)
        if found is None or not field.least <= found <= field.most:
            kind = "number" if field.kind == NUMBER else "whole number"
            yield f"{field.label}: give a {kind} from {field.least:g} to {field.most:g}."
    elif field.kind == LIST:
        words = texts(fields, field.name)
        if len(words) > MOST_ENTRIES:
            yield f"{field.label}: {len(words)} entries are too many; {MOST_ENTRIES} are kept."
        yield from (f"{field.label}: “{word[:40]}…” is too long." for word in words if len(word) > LONGEST_LINE)
    elif field.kind == ROWS:
        if len(given := rows(fields, field.name)) > MOST_ROWS:
            yield f"{field.label}: {len(given)} rows are too many; {MOST_ROWS} are kept."
    elif field.kind == CHOICE:
        if text(fields, field.name) not in dict(field.choices):
            yield f"{field.label}: choose one of the list."
    elif len(typed := text(fields, field.name)) > field.longest:
        yield f"{field.label}: {len(typed):,} characters are too many; {field.longest:,} are kept."


def _name(fields: Mapping[str, Any]) -> Iterator[str]:
    name = text(fields, "name")
    if len(name) < SHORTEST_NAME:
        yield f"The name is too short: the standard asks for at least {SHORTEST_NAME} characters."
    elif not NAME.fullmatch(name):
        wrong = re.sub(NAME, "", name)[0] if re.sub(NAME, "", name) else name
        yield f"The name may hold letters without accents, digits, spaces and _ + - ( ), but not “{wrong[:10]}”."


def _id(fields: Mapping[str, Any]) -> Iterator[str]:
    if not is_slug(text(fields, "id")):
        yield "The address may hold a-z, 0-9, dots, underscores and hyphens; it begins and ends with a letter or digit."


def _version(fields: Mapping[str, Any]) -> Iterator[str]:
    if not VERSION.fullmatch(text(fields, "version")) or not re.match(r"\d+(\.\d+)*", text(fields, "version")):
        yield "Write the version like 1.2.0."


def _authors(fields: Mapping[str, Any]) -> Iterator[str]:
    for number_, author in enumerate(rows(fields, "authors"), 1):
        name = author.get("name", "")
        if not name:
            yield f"Author {number_} has no name."
        elif "/" in name or "\\" in name:
            yield f"The name “{name[:40]}” may not hold a slash."
        elif "orcid" in author and not is_orcid(bare_orcid(author["orcid"])):
            yield f"The ORCID of {name[:40]} is not right: it has 16 digits, such as 0000-0002-1825-0097; check each."


def bare_orcid(text_: str) -> str:
    """An ORCID iD as sixteen digits with hyphens, also of its link or when typed without them."""
    digits = text_.strip().rstrip("/").rsplit("/", 1)[-1].replace("-", "").replace(" ", "").upper()
    return "-".join(digits[at : at + 4] for at in range(0, len(digits), 4))


@lru_cache(maxsize=1)
def known_licences() -> frozenset[str]:
    """The SPDX identifiers that a bioimage.io description may name."""
    spec = find_spec("bioimageio.spec")
    assert spec is not None
    listed = Path(str(spec.origin)).with_name("static") / "spdx_licenses.json"
    return frozenset(licence["licenseId"] for licence in json.loads(listed.read_text())["licenses"])


def _licence(name: str) -> Any:
    def check(fields: Mapping[str, Any]) -> Iterator[str]:
        given = text(fields, name)
        if given not in known_licences():
            near = next((licence for licence in known_licences() if licence.lower() == given.lower()), "")
            yield f"“{given[:40]}” is no SPDX identifier" + (f": write {near}." if near else ", such as CC-BY-4.0.")

    return check


def doi_of(text_: str) -> str:
    """A DOI without what often stands before it; empty when there is none."""
    bare = re.sub(r"^(https?://(dx\.)?doi\.org/|doi:\s*)", "", text_.strip(), flags=re.IGNORECASE)
    return bare if DOI.fullmatch(bare) else ""


def is_link(text_: str) -> bool:
    """Whether it is an address of the web that a page may link to."""
    try:
        parts = urlsplit(text_.strip())
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", text_.strip())
    except ValueError:
        return False


def _cite(fields: Mapping[str, Any]) -> Iterator[str]:
    for number_, entry in enumerate(rows(fields, "cite"), 1):
        if not entry.get("text"):
            yield f"Reference {number_} has no text: authors, year, title."
        elif entry.get("doi") and not doi_of(entry["doi"]):
            yield f"“{entry['doi'][:60]}” is no DOI: they look like 10.1038/s41592-019-0612-7."
        elif entry.get("url") and not is_link(entry["url"]):
            yield f"“{entry['url'][:60]}” is no link: they begin with https://."
        elif not entry.get("doi") and not entry.get("url"):
            yield f"Reference {number_} needs a DOI or a link."


def _training_data(fields: Mapping[str, Any]) -> Iterator[str]:
    for number_, entry in enumerate(rows(fields, "training_data"), 1):
        if not entry.get("name"):
            yield f"Data set {number_} has no name."
        elif entry.get("url") and not (is_link(entry["url"]) or doi_of(entry["url"])):
            yield f"“{entry['url'][:60]}” is no link and no DOI."


SPECIAL = {
    "name": _name,
    "id": _id,
    "version": _version,
    "authors": _authors,
    "licence": _licence("licence"),
    "sample_licence": _licence("sample_licence"),
    "cite": _cite,
    "training_data": _training_data,
}


def _network(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """What does not fit what the file tells of its network."""
    facts = fields.get("facts")
    facts = facts if isinstance(facts, Mapping) else {}
    for name, fact, word in (("channel_names", "channels", "channels"), ("output_channels", "maps", "maps")):
        given, known = len(texts(fields, name)), facts.get(fact)
        if given and isinstance(known, int) and given != known:
            yield name, f"The network has {known} {word}; {given} are named."
    if text(fields, "axes") and "c" not in text(fields, "axes") and len(texts(fields, "channel_names")) > 1:
        yield "channel_names", "A network without a channel axis takes one channel."
    try:
        head_of(fields)
    except PackageInvalid as wrong:
        yield "head", f"{wrong.message} {wrong.hint}".strip()
    stride, cell = whole(fields, "stride"), whole(fields, "output_stride") or 1
    if stride and stride % cell:
        yield "stride", f"{stride} px hold no whole number of cells of {cell} px: give a multiple of {cell}."
