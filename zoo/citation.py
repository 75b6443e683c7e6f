"""How a model is cited: as BibTeX, RIS and CSL JSON, made from the document of one of its versions.

Names of people are read as reference managers do: "Family, Given", or the last word (with its particles) is the family
name; what looks like an institution, or is one word, stays whole.
"""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from zoo.errors import UserError

Document = Mapping[str, Any]
PUBLISHER = "Zooscope"

PARTICLES = re.compile(r"a[fl]|auf|d[aeiou]|de[lnrs]|della|do[ns]?|el|l[ae]|te[nr]|van|vo[mn]|zu[mr]?", re.IGNORECASE)
INSTITUTIONS = re.compile(
    r"\b(authors?|cent(er|re)|collaboration|college|community|consortium|contributors?|department|developers?|"
    r"facility|founders?|foundation|group|hospital|inc|initiative|institut[eo]?|lab(oratory)?|network|project|"
    r"school|society|team|universit[a-zäéà]+|zooscope)\b",
    re.IGNORECASE,
)
BIBTEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
} | {character: f"\\{character}" for character in "$&%#_"}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Characters that a DOI or an address keeps in a verbatim field of BibTeX; braces and backslashes would end it early.
VERBATIM = "-._~:/?#[]@!$&'()*+,;=%"


class UnknownFormat(UserError):
    code = "unknown-format"


@dataclass(frozen=True)
class Name:
    """A person's `family` and `given` names, or what is cited as it stands in `literal`."""

    family: str = ""
    given: str = ""
    literal: str = ""


def plain(text: Any) -> str:
    """Text on one line: white space is one space, control characters and halves of surrogate pairs are gone."""
    spaced = re.sub(r"\s+", " ", str(text or ""))
    return "".join(letter for letter in spaced if unicodedata.category(letter) not in ("Cc", "Cs")).strip()


def name_of(author: Document) -> Name:
    """The author's name in its parts; without any, as an unnamed author."""
    whole = plain(author.get("name"))
    if not whole:
        return Name(literal="Unnamed author")
    family, comma, given = (part.strip() for part in whole.partition(","))
    if comma and family and given and "," not in given:
        return Name(family, given)
    words = whole.split(" ")
    if len(words) == 1 or comma or (INSTITUTIONS.search(whole) and not author.get("orcid")):
        return Name(literal=whole)
    start = len(words) - 1
    while start > 0 and PARTICLES.fullmatch(words[start - 1]):
        start -= 1
    return Name(" ".join(words[start:]), " ".join(words[:start])) if start else Name(literal=whole)


def orcid_url(author: Document) -> str:
    """The author's ORCID as its address, or empty."""
    digits = plain(author.get("orcid")).rsplit("/", 1)[-1]
    return f"https://orcid.org/{digits}" if re.fullmatch(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]", digits) else ""


def doi_url(doi: str) -> str:
    """Where a DOI resolves, which is how it is shown."""
    return f"https://doi.org/{quote(doi, safe=VERBATIM.replace('#', '').replace('?', '').replace('%', ''))}"


def landing_url(public_url: str, id: str, version: str | None = None) -> str:
    """The address of a model's page, which its concept DOI resolves to, or of a version's."""
    page = f"{public_url.rstrip('/')}/models/{quote(id, safe='')}"
    return page if version is None else f"{page}?version={quote(version, safe='')}"


def published_on(document: Document) -> datetime:
    """When the version was published; before that, when it says it was made, or now."""
    seconds = document.get("published_at")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        return datetime.fromtimestamp(seconds, UTC)
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(plain(document.get("created"))[:10]).replace(tzinfo=UTC)
    return datetime.now(UTC)


def title_of(document: Document) -> str:
    return plain(document.get("name")) or plain(document.get("id"))


def authors_of(document: Document) -> Sequence[Document]:
    """The authors of the document; one without a name when there is none."""
    return [author for author in document.get("authors") or [] if isinstance(author, Mapping)] or [{}]


def csl(document: Document, url: str, publisher: str = PUBLISHER) -> dict[str, Any]:
    """The item of CSL JSON for a version whose page is at `url`; what is unknown is left out."""
    day = published_on(document)
    item = {
        "id": citation_key(document),
        "type": "software",
        "genre": "Trained microscopy model",
        "title": title_of(document),
        "author": [_csl_name(name_of(author)) for author in authors_of(document)],
        "issued": {"date-parts": [[day.year, day.month, day.day]]},
        "version": plain(document.get("version")),
        "publisher": publisher,
        "abstract": plain(document.get("description")),
        "keyword": ", ".join(keywords(document)),
        "license": plain(document.get("licence")),
        "DOI": plain(document.get("doi")),
        "URL": url,
    }
    return {name: value for name, value in item.items() if value}


def bibtex(document: Document, url: str, publisher: str = PUBLISHER) -> str:
    """A BibTeX entry, `@software`, in UTF-8; styles that do not know it take it for `@misc`."""
    day = published_on(document)
    fields = {
        "author": " and ".join(_bibtex_name(name_of(author)) for author in authors_of(document)),
        "title": f"{{{escaped(title_of(document))}}}",
        "year": str(day.year),
        "month": MONTHS[day.month - 1],
        "version": escaped(plain(document.get("version"))),
        "publisher": escaped(publisher),
        "abstract": escaped(plain(document.get("description"))),
        "keywords": escaped(", ".join(keywords(document))),
        "license": escaped(plain(document.get("licence"))),
        "doi": _verbatim(plain(document.get("doi"))),
        "url": _verbatim(url),
    }
    # A month is one of BibTeX's own words: in braces it would be text.
    lines = [f"  {name} = {value if name == 'month' else f'{{{value}}}'}," for name, value in fields.items() if value]
    return "\n".join([f"@software{{{citation_key(document)},", *lines, "}", ""])


def ris(document: Document, url: str, publisher: str = PUBLISHER) -> str:
    """A RIS record of type COMP (computer program); lines end with carriage return and line feed."""
    day = published_on(document)
    names = [name_of(author) for author in authors_of(document)]
    lines = [("TY", "COMP")]
    lines += [("AU", name.literal or f"{name.family}, {name.given}") for name in names]
    lines += [
        ("TI", title_of(document)),
        ("PY", str(day.year)),
        ("DA", f"{day:%Y/%m/%d}/"),
        ("ET", plain(document.get("version"))),
        ("PB", publisher),
        ("AB", plain(document.get("description"))),
        *(("KW", keyword) for keyword in keywords(document)),
        ("C1", plain(document.get("licence"))),
        ("DO", plain(document.get("doi"))),
        ("UR", plain(url)),
    ]
    written = [f"{tag}  - {value}" for tag, value in lines if value]
    return "\r\n".join([*written, "ER  - ", ""])


def csl_text(document: Document, url: str, publisher: str = PUBLISHER) -> str:
    return json.dumps([csl(document, url, publisher)], ensure_ascii=False, indent=2) + "\n"


@dataclass(frozen=True)
class Format:
    """One way to write a citation: `write(document, url, publisher)`, its media type, file suffix and title."""

    title: str
    media_type: str
    suffix: str
    write: Callable[[Document, str, str], str]


FORMATS = {
    "bibtex": Format("BibTeX", "application/x-bibtex", ".bib", bibtex),
    "ris": Format("RIS", "application/x-research-info-systems", ".ris", ris),
    "csl": Format("CSL JSON", "application/vnd.citationstyles.csl+json", ".json", csl_text),
}


def citation_format(name: str) -> Format:
    """The format called `name`; raises `UnknownFormat`."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UnknownFormat(f"There is no citation format {name[:40]!r}.", f"Ask for {', '.join(FORMATS)}.") from None


def sentence(document: Document, url: str, publisher: str = PUBLISHER) -> str:
    """The citation as people read it: authors, year, title, version, publisher, DOI or address."""
    names = [name_of(author) for author in authors_of(document)]
    written = "; ".join(name.literal or f"{name.family}, {name.given}" for name in names)
    link = doi_url(plain(document["doi"])) if document.get("doi") else url
    version = plain(document.get("version"))
    stated = f"{title_of(document)} (version {version})" if version else title_of(document)
    return f"{written} ({published_on(document).year}). {stated}. {publisher}. {link}"


def citation_key(document: Document) -> str:
    """A key that every reference manager takes: `em-mitochondria-1-1-0`."""
    parts = f"{document.get('id', 'model')}-{document.get('version', '')}"
    return re.sub(r"[^A-Za-z0-9]+", "-", parts).strip("-") or "model"


def keywords(document: Document) -> list[str]:
    """What the model is about, in plain words, each once: its tags, then structures, organisms and modalities."""
    about = document.get("about") or {}
    named = [*(document.get("tags") or [])]
    for field in ("structure", "organism", "cell_type", "modality"):
        value = about.get(field) or []
        named += value if isinstance(value, list) else [value]
    found = {word.casefold(): word for word in map(plain, reversed(named)) if word}
    return list(reversed(found.values()))


def escaped(text: str) -> str:
    """Text for a field of BibTeX: every character that TeX or BibTeX reads as a command is written out."""
    return "".join(BIBTEX_ESCAPES.get(character, character) for character in text)


def _csl_name(name: Name) -> dict[str, str]:
    return {"literal": name.literal} if name.literal else {"family": name.family, "given": name.given}


def _bibtex_name(name: Name) -> str:
    # In braces neither a comma nor the word "and" takes the name apart.
    if name.literal:
        return f"{{{escaped(name.literal)}}}"
    return ", ".join(_kept_together(part) for part in (name.family, name.given))


def _kept_together(part: str) -> str:
    return f"{{{escaped(part)}}}" if re.search(r"\band\b", part, re.IGNORECASE) else escaped(part)


def _verbatim(address: str) -> str:
    return quote(plain(address), safe=VERBATIM)
