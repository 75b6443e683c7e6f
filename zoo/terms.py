"""Terms to describe models with: a small built-in list, to suggest from while somebody types. Free text stays allowed.

`terms.tsv` has a term a line: field, ontology id or nothing, name, and other names. Organisms are from NCBI's taxonomy,
structures from the Gene Ontology (and a few of Uberon), cell types from the Cell Ontology and Cellosaurus, modalities
and stainings from FBbi; what those have no id for here is a plain word.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from zoo.document_fields import words_of_text
from zoo.errors import UserError

FIELDS = ("organism", "structure", "cell_type", "modality", "staining")
MOST_SUGGESTED = 100
LIST = Path(__file__).with_name("terms.tsv")
# Where a term is told of.
PAGES = {
    "NCBITaxon": "https://www.ncbi.nlm.nih.gov/Taxonomy/Browser/wwwtax.cgi?id={number}",
    "GO": "https://amigo.geneontology.org/amigo/term/GO:{number}",
    "CVCL": "https://www.cellosaurus.org/CVCL_{number}",
    "CL": "http://purl.obolibrary.org/obo/CL_{number}",
    "UBERON": "http://purl.obolibrary.org/obo/UBERON_{number}",
    "FBbi": "http://purl.obolibrary.org/obo/FBbi_{number}",
}


class UnknownTermField(UserError):
    code = "unknown-term-field"
    status = 404


@dataclass(frozen=True)
class Term:
    """`id` is empty for a word without one in an ontology; `synonyms` are the other names it is found by."""

    field: str
    id: str
    name: str
    synonyms: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {
            "field": self.field, "id": self.id, "name": self.name, "synonyms": list(self.synonyms),
            "url": page_of(self.id),
        }  # fmt: skip


def suggest(field: str, text: str, limit: int = 10) -> list[Term]:
    """The terms of a field that `text` may mean, the likeliest first; raises UnknownTermField.

    Each of its words must begin a word of one of the term's names, or be its id. Without text: the first of the list.
    """
    terms = _terms(field)
    limit = max(0, min(limit, MOST_SUGGESTED))
    words = words_of_text(text)
    if not words:
        return [] if text.strip() else [term for term, _ in terms[:limit]]
    ranked = []
    for place, (term, names) in enumerate(terms):
        fits = [_fit(words, name, number) for number, name in enumerate(names)]
        best = min((fit for fit in fits if fit is not None), default=None)
        if best is not None:
            ranked.append((best, place, term))
    return [term for _, _, term in sorted(ranked)[:limit]]


def known(field: str, text: str) -> Term | None:
    """The term whose name, other name or id `text` is, whatever its case and accents; raises UnknownTermField."""
    _terms(field)
    return _by_name(field).get(" ".join(words_of_text(text)))


def page_of(id: str) -> str:
    """The page about an ontology id, or an empty text for what is none."""
    kind, _, number = id.replace("_", ":", 1).partition(":")
    return PAGES[kind].format(number=number) if kind in PAGES and number.isalnum() else ""


def _fit(words: list[str], name: list[str], number: int) -> tuple[bool, bool, int] | None:
    """How well the words fit a name, the smaller the better: the whole of it, its beginning, the term's main name."""
    last = words[-1]
    whole = [word for word in words[:-1] if word not in name]
    begun = [word for word in whole if not any(part.startswith(word) for part in name)]
    if begun or not any(part.startswith(last) for part in name):
        return None
    return words != name, not " ".join(name).startswith(" ".join(words)), number


@cache
def _terms(field: str) -> tuple[tuple[Term, tuple[list[str], ...]], ...]:
    """The terms of a field in the order of the list, each with the words of its names and its id."""
    if field not in FIELDS:
        raise UnknownTermField(f"There are no terms of {field[:40]!r}.", f"Fields: {', '.join(FIELDS)}.")
    return tuple(
        (term, tuple(words_of_text(name) for name in (term.name, *term.synonyms, term.id) if name))
        for term in _all()
        if term.field == field
    )


@cache
def _by_name(field: str) -> dict[str, Term]:
    found: dict[str, Term] = {}
    for rank in range(2):
        for term, names in _terms(field):
            # The main name of one term goes before another name of a second.
            for name in names[:1] if rank == 0 else names[1:]:
                found.setdefault(" ".join(name), term)
    return found


@lru_cache(maxsize=1)
def _all() -> tuple[Term, ...]:
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return tuple(
        Term(row["field"], row["id"], row["name"], tuple(filter(None, row["synonyms"].split("|")))) for row in rows
    )
