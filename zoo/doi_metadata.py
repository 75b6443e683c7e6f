"""What DataCite and Zenodo are told of a model version, in their words: kernel 4.5 and the deposit metadata."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from typing import Any

from zoo.citation import authors_of, keywords, name_of, orcid_url, plain, published_on, title_of
from zoo.doi_registry import DoiRecord

SCHEMA = "http://datacite.org/schema/kernel-4"
LONGEST_DESCRIPTION = 20_000
MAXIMUM_KEYWORDS = 50
DOI = re.compile(r"10\.\d{4,9}/\S+")

Document = Mapping[str, Any]


def snapshot(document: Document) -> dict[str, Any]:
    """What a citation and the registries need of a version's document, to be kept until they were told."""
    names = (
        "id", "version", "name", "description", "licence", "authors", "cite", "tags", "about", "package_sha256",
        "package_bytes", "created", "published_at",
    )  # fmt: skip
    return {name: document[name] for name in names if document.get(name) not in (None, "", [], {})}


def datacite_version(record: DoiRecord, publisher: str) -> dict[str, Any]:
    """The attributes of a version's DOI, but for the DOI itself and its url."""
    sha256, size = record.document.get("package_sha256"), record.document.get("package_bytes")
    related = [_related(record.concept_doi, "IsVersionOf")]
    related += [_related(doi, "References") for doi in cited_dois(record.document)]
    metadata = _datacite(record.document, publisher, related) | {"version": plain(record.version)}
    if sha256:
        metadata["alternateIdentifiers"] = [{"alternateIdentifier": sha256, "alternateIdentifierType": "sha256"}]
    if size:
        metadata["sizes"] = [f"{size} bytes"]
    return metadata | {"formats": ["application/zip"]}


def datacite_concept(record: DoiRecord, publisher: str) -> dict[str, Any]:
    """The attributes of a model's DOI: those of its newest public version, and the DOIs of all of them."""
    return _datacite(record.newest, publisher, [_related(doi, "HasVersion") for doi in record.public])


def zenodo_deposit(record: DoiRecord) -> dict[str, Any]:
    """The metadata of a version's deposit; Zenodo makes its publisher and its concept DOI itself."""
    document = record.document
    description = html.escape(_description(document)) or html.escape(title_of(document))
    link = html.escape(record.url, quote=True)
    related = [{"identifier": record.url, "relation": "isAlternateIdentifier", "resource_type": "software"}]
    related += [{"identifier": doi, "relation": "references"} for doi in cited_dois(document)]
    metadata: dict[str, Any] = {
        "title": title_of(document),
        "upload_type": "software",
        "description": f'<p>{description}</p><p>Try this model on your own image: <a href="{link}">{link}</a></p>',
        "creators": [_zenodo_creator(author) for author in authors_of(document)],
        "publication_date": f"{published_on(document):%Y-%m-%d}",
        "access_right": "open",
        "license": plain(document.get("licence")).lower(),
        "version": plain(record.version),
        "keywords": keywords(document)[:MAXIMUM_KEYWORDS],
        "related_identifiers": related,
    }
    if record.reason:
        reason = html.escape(plain(record.reason))
        metadata["description"] = f"<p><strong>Withdrawn: {reason}</strong></p>{metadata['description']}"
        metadata["notes"] = f"Withdrawn: {reason}"
    return {name: value for name, value in metadata.items() if value}


def cited_dois(document: Document) -> list[str]:
    """The DOIs of the works a model cites, each once."""
    entries = [entry for entry in document.get("cite") or [] if isinstance(entry, Mapping)]
    found = [match.group() for entry in entries if (match := DOI.search(plain(entry.get("doi"))))]
    return list(dict.fromkeys(found))


def _datacite(document: Document, publisher: str, related: Iterable[dict[str, str]]) -> dict[str, Any]:
    day = published_on(document)
    metadata = {
        "schemaVersion": SCHEMA,
        "types": {"resourceTypeGeneral": "Model", "resourceType": "Trained microscopy model"},
        "creators": [_datacite_creator(author) for author in authors_of(document)],
        "titles": [{"title": title_of(document)}],
        "publisher": {"name": publisher},
        "publicationYear": f"{day:%Y}",
        "dates": [{"date": f"{day:%Y-%m-%d}", "dateType": "Issued"}],
        "descriptions": [{"description": text, "descriptionType": "Abstract"}]
        if (text := _description(document))
        else [],
        "rightsList": _rights(plain(document.get("licence"))),
        "subjects": [{"subject": word} for word in keywords(document)[:MAXIMUM_KEYWORDS]],
        "relatedIdentifiers": list(related),
    }
    return {name: value for name, value in metadata.items() if value}


def _datacite_creator(author: Document) -> dict[str, Any]:
    name = name_of(author)
    if name.literal:
        creator: dict[str, Any] = {"name": name.literal, "nameType": "Organizational"}
    else:
        creator = {
            "name": f"{name.family}, {name.given}",
            "nameType": "Personal",
            "givenName": name.given,
            "familyName": name.family,
        }
    if orcid := orcid_url(author):
        creator["nameIdentifiers"] = [
            {"nameIdentifier": orcid, "nameIdentifierScheme": "ORCID", "schemeUri": "https://orcid.org"}
        ]
    if affiliation := plain(author.get("affiliation")):
        creator["affiliation"] = [{"name": affiliation}]
    return creator


def _zenodo_creator(author: Document) -> dict[str, str]:
    name = name_of(author)
    creator = {
        "name": name.literal or f"{name.family}, {name.given}",
        "affiliation": plain(author.get("affiliation")),
        "orcid": orcid_url(author).rsplit("/", 1)[-1],
    }
    return {key: value for key, value in creator.items() if value}


def _rights(licence: str) -> list[dict[str, str]]:
    if not licence:
        return []
    return [
        {
            "rights": licence,
            "rightsIdentifier": licence.lower(),
            "rightsIdentifierScheme": "SPDX",
            "schemeUri": "https://spdx.org/licenses/",
            "rightsUri": f"https://spdx.org/licenses/{licence}",
        }
    ]


def _description(document: Document) -> str:
    return plain(document.get("description"))[:LONGEST_DESCRIPTION]


def _related(doi: str, relation: str) -> dict[str, str]:
    return {"relatedIdentifier": doi, "relatedIdentifierType": "DOI", "relationType": relation}
