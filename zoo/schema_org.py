"""What a model's page tells search engines: `schema.org` metadata as JSON-LD."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from zoo.citation import PUBLISHER, authors_of, doi_url, keywords, name_of, orcid_url, plain, published_on, title_of

Document = Mapping[str, Any]
# What would end a script element, or a line of JavaScript, is written as JSON's own escape.
ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def schema_org(document: Document, url: str, publisher: str = PUBLISHER) -> dict[str, Any]:
    """The `SoftwareApplication` that a model version is, whose page is at the absolute address `url`.

    Addresses of files follow from the page's. What is unknown is left out.
    """
    site = url.split("/models/", 1)[0]
    files = f"{site}/api/v1/models/{document.get('id', '')}/versions/{document.get('version', '')}"
    doi, concept = plain(document.get("doi")), plain(document.get("concept_doi"))
    size = document.get("package_bytes")
    metadata: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "SoftwareApplication",
        "@id": doi_url(doi) if doi else url,
        "url": url,
        "name": title_of(document),
        "description": plain(document.get("description")),
        "applicationCategory": "Microscopy image analysis model",
        "operatingSystem": "Any",
        "softwareVersion": plain(document.get("version")),
        "license": licence_url(plain(document.get("licence"))),
        "creator": [_agent(author) for author in authors_of(document)],
        "publisher": {"@type": "Organization", "name": publisher, "url": site},
        "datePublished": f"{published_on(document):%Y-%m-%d}",
        "keywords": keywords(document),
        "image": f"{files}/cover.png" if document.get("cover") else "",
        "downloadUrl": f"{files}/package.zip",
        "fileSize": f"{size} B" if size else "",
        "isAccessibleForFree": True,
        "identifier": _identifiers(doi, plain(document.get("package_sha256"))),
        "isPartOf": {"@type": "CreativeWork", "@id": doi_url(concept)} if concept else None,
        "citation": [cited for entry in document.get("cite") or [] if (cited := _cited(entry))],
        "about": _subjects(document),
    }
    return {name: value for name, value in metadata.items() if value not in ("", None, [])}


def json_ld(document: Document, url: str, publisher: str = PUBLISHER) -> str:
    """The metadata as text that may stand in a script element: no text within it can end the element."""
    text = json.dumps(schema_org(document, url, publisher), ensure_ascii=False)
    return "".join(ESCAPES.get(character, character) for character in text)


def licence_url(identifier: str) -> str:
    """The page of an SPDX identifier; anything else stands as it is."""
    known = identifier and all(letter.isascii() and (letter.isalnum() or letter in ".-+") for letter in identifier)
    return f"https://spdx.org/licenses/{identifier}" if known else identifier


def _agent(author: Document) -> dict[str, Any]:
    name = name_of(author)
    if name.literal:
        return {"@type": "Organization", "name": name.literal}
    person = {
        "@type": "Person",
        "@id": orcid_url(author),
        "name": f"{name.given} {name.family}",
        "givenName": name.given,
        "familyName": name.family,
        "affiliation": {"@type": "Organization", "name": plain(author["affiliation"])}
        if author.get("affiliation")
        else "",
    }
    return {key: value for key, value in person.items() if value}


def _identifiers(doi: str, sha256: str) -> list[dict[str, str]]:
    named = [("doi", doi), ("sha256", sha256)]
    return [{"@type": "PropertyValue", "propertyID": kind, "value": value} for kind, value in named if value]


def _cited(entry: Document) -> dict[str, str] | None:
    if not isinstance(entry, Mapping):
        return None
    doi, url = plain(entry.get("doi")), plain(entry.get("url"))
    work = {"@type": "CreativeWork", "@id": doi_url(doi) if doi else url, "name": plain(entry.get("text"))}
    return {key: value for key, value in work.items() if value}


def _subjects(document: Document) -> list[dict[str, str]]:
    """What the model finds and in what, as terms."""
    about = document.get("about") or {}
    found = []
    for field in ("structure", "organism", "cell_type", "modality"):
        names, ids = (
            value if isinstance(value, list) else [] for value in (about.get(field), about.get(f"{field}_ids"))
        )
        for number, name in enumerate(names):
            code = plain(ids[number]) if len(ids) == len(names) else ""
            term = {"@type": "DefinedTerm", "name": plain(name), "termCode": code}
            found.append({key: value for key, value in term.items() if value})
    return found
