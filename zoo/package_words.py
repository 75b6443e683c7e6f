"""The words of a package, as the form has them and as a description holds them: both ways."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import Any

import yaml

from zoo.package_fields import number, rows, text, texts
from zoo.package_missing import bare_orcid, doi_of, is_link
from zoo.packages import DESCRIPTION_NAMES, ModelPackage

# Lists of `about` whose words have ontology ids, where they are known.
TERMS = ("structure", "organism", "cell_type", "modality", "staining")
TASK_WORDS = {"segment": "semantic segmentation", "instances": "instance segmentation", "detect": "object detection",
              "count": "object counting"}  # fmt: skip


def fields_of(package: ModelPackage) -> dict[str, Any]:
    """The form, filled in with all that a package tells."""
    raw = raw_description(package)
    config = raw.get("config") or {}
    ours, standard = config.get("zooscope") or {}, config.get("bioimageio") or {}
    about = ours.get("about") or {}
    fields: dict[str, Any] = {
        "name": package.name, "id": package.id, "version": package.version, "description": package.description,
        "licence": package.licence, "tags": package.tags, "card": package.card, "not_for": package.not_for,
        "authors": [_author(author) for author in package.authors],
        "cite": [{key: str(entry[key]) for key in ("text", "doi", "url") if entry.get(key)} for entry in package.cite],
        "training_data": [{key: str(value) for key, value in data.items() if value}
                          for data in about.get("training_data", ())],
        "task": about.get("task") or _task(package, standard),
        "structure": _words(about.get("structure") or ours.get("structure") or standard.get("target_structure")),
        "modality": _words(about.get("modality") or ours.get("modality") or standard.get("modality")),
        "dimensionality": about.get("dimensionality") or "2d",
        "channel_names": package.channel_names, "output_channels": package.output_channels,
        "pixel_size_um": package.pixel_size_um, "plane_size_um": about.get("plane_size_um"), "head": package.head,
    }  # fmt: skip
    fields |= {name: _words(about.get(name)) for name in ("organism", "cell_type", "staining")}
    return {name: value for name, value in fields.items() if value not in ("", None, [])}


def raw_description(package: ModelPackage) -> dict[str, Any]:
    """The description of a package that has been read, as its file has it."""
    with zipfile.ZipFile(package.path) as archive:
        name = next(name for name in DESCRIPTION_NAMES if name in archive.namelist())
        raw: dict[str, Any] = yaml.safe_load(archive.read(name))
    return raw


def _words(value: Any) -> list[str]:
    given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [str(word) for word in given if isinstance(word, str) and word.strip()]


def _author(author: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: str(author[key]) for key in ("name", "affiliation", "orcid", "github_user", "email") if author.get(key)
    }


def _task(package: ModelPackage, standard: Mapping[str, Any]) -> str:
    told = str(standard.get("task") or "").lower()
    for word, task in (("instance", "instances"), ("detect", "detect"), ("count", "count"), ("segment", "segment")):
        if word in told:
            return task
    kinds = {"grid-detector": "detect", "boxes": "detect", "spots": "count", "watershed-instances": "instances",
             "star-convex": "instances", "boundary-cells": "instances"}  # fmt: skip
    return kinds.get(package.head["kind"], "segment")


def about_of(fields: Mapping[str, Any], framework: str = "") -> dict[str, Any]:
    """`config.zooscope.about` of what was typed: words, and the ids of those that are terms."""
    from zoo import terms

    about: dict[str, Any] = {"task": text(fields, "task"), "dimensionality": text(fields, "dimensionality")}
    for name in TERMS:
        words = texts(fields, name)
        about[name] = words
        if name != "staining":
            about[f"{name}_ids"] = [term.id for word in words if (term := terms.known(name, word)) is not None]
    about["plane_size_um"] = number(fields, "plane_size_um")
    about["framework"] = framework
    about["training_data"] = [_data(row) for row in rows(fields, "training_data")]
    return {name: value for name, value in about.items() if value not in ("", None, [])}


def _data(row: Mapping[str, str]) -> dict[str, str]:
    found = {"name": row.get("name", "")}
    if doi := doi_of(row.get("url", "") or row.get("doi", "")):
        found["doi"] = doi
    elif is_link(row.get("url", "")):
        found["url"] = row["url"]
    return found


def description_words(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The top level of a description, of what was typed; what is empty is left out."""
    authors = []
    for row in rows(fields, "authors"):
        author = {key: row[key] for key in ("name", "affiliation", "github_user", "email") if row.get(key)}
        authors.append(author | ({"orcid": bare_orcid(row["orcid"])} if row.get("orcid") else {}))
    cite = []
    for row in rows(fields, "cite"):
        doi = doi_of(row.get("doi", ""))
        entry = {"text": row.get("text", "")} | ({"doi": doi} if doi else {})
        cite.append(entry | ({"url": row["url"]} if is_link(row.get("url", "")) else {}))
    words = {
        "name": text(fields, "name"), "description": text(fields, "description"), "authors": authors, "cite": cite,
        "license": text(fields, "licence"), "tags": texts(fields, "tags"), "id": text(fields, "id"),
        "version": text(fields, "version"),
    }  # fmt: skip
    return {name: value for name, value in words.items() if value not in ("", [])}


def card_of(fields: Mapping[str, Any]) -> str:
    """The model card; without one, the description, and the heading that the standard asks for."""
    card = text(fields, "card")
    if card:
        return card + "\n"
    return f"{text(fields, 'description')}\n\n## Validation\n\nNot told.\n"
