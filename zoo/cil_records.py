"""Records of the Cell Image Library (cellimagelibrary.org) as documents of the collection `library`.

A public record is JSON, `{"CIL_CCDB": {"Citation": {...}, "CIL": {"CORE": {...}, "Image_files": [...]}}}`. A field
of CORE is one term or a list of them, a term is `{"onto_id", "onto_name"}` or `{"free_text"}`; all of it may be absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.searched_fields import LIBRARY
from zoo.terms import known

COLLECTION = LIBRARY
MAXIMUM_RECORD = 2**20
MAXIMUM_NAME = 120
PAGE = "http://cellimagelibrary.org/images/"
# What a term of CORE becomes in the document.
TERMS = {
    "NCBIORGANISMALCLASSIFICATION": "organism",
    "CELLTYPE": "cell_type",
    "CELLLINE": "cell_line",
    "CELLULARCOMPONENT": "cellular_component",
    "BIOLOGICALPROCESS": "biological_process",
    "MOLECULARFUNCTION": "molecular_function",
    "HUMANDISEASE": "disease",
    "ITEMTYPE": "modality",
    "IMAGINGMODE": "imaging_mode",
    "PARAMETERIMAGED": "parameter_imaged",
    "SOURCEOFCONTRAST": "contrast",
    "VISUALIZATIONMETHODS": "visualisation",
    "PROCESSINGHISTORY": "processing",
    "PREPARATION": "preparation",
    "RELATIONTOINTACTCELL": "relation_to_cell",
}
# Which of them are of a field of the zoo's terms.
KNOWN = {"organism": "organism", "cell_type": "cell_type", "cellular_component": "structure", "modality": "modality"}
MICROMETRES = {"nm": 1e-3, "nanometer": 1e-3, "nanometers": 1e-3, "mm": 1e3, "cm": 1e4, "å": 1e-4, "angstrom": 1e-4}


class BadRecord(UserError):
    """A file that is no record of the library."""

    code = "bad-cil-record"


def read_record(path: Path) -> dict[str, Any]:
    """The document of the record in `path`, with its `id`; raises BadRecord."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAXIMUM_RECORD else None
    except OSError as error:
        raise BadRecord(f"{path.name} cannot be read.", error.strerror or "") from None
    if data is None:
        raise BadRecord(f"{path.name} is too long for a record.", f"Records have up to {MAXIMUM_RECORD} bytes.")
    try:
        record = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"{path.name} is not JSON.", str(error)[:200]) from None
    outer = _mapping({"record": record.get("CIL_CCDB", record)}, "record") if isinstance(record, dict) else {}
    core = _mapping(_mapping(outer, "CIL"), "CORE")
    if not core:
        raise BadRecord(f"{path.name} is no record of the Cell Image Library.", "It has no CIL_CCDB.CIL.CORE.")
    return document(_identifier(path, outer), outer, core)


def document(id: str, outer: Mapping[str, Any], core: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a record; what it does not tell is left out."""
    citation = _mapping(outer, "Citation")
    description = " ".join(_texts(core.get("IMAGEDESCRIPTION")))
    found: dict[str, Any] = {
        "id": id,
        "source": "cil",
        "name": _name(id, citation, description),
        "description": description,
        "technical_details": " ".join(_texts(core.get("TECHNICALDETAILS"))),
        "licence": next(iter(_texts(core.get("TERMSANDCONDITIONS"))), ""),
        "authors": _authors(core.get("ATTRIBUTION")),
        "doi": re.sub(r"^(doi:|https?://(dx\.)?doi\.org/)", "", str(citation.get("DOI") or "").strip(), flags=re.I),
        "url": PAGE + id.rpartition("_")[2],
        "pixel_size_um": _pixel_size(core.get("DIMENSION")),
        "files": [name for name in map(_file_name, _list(_mapping(outer, "CIL").get("Image_files"))) if name],
    }
    for field, name in TERMS.items():
        terms = _list(core.get(field))
        found[name] = [text for term in terms for text in _texts(term)]
        found[f"{name}_ids"] = [
            str(term["onto_id"]) for term in terms if isinstance(term, Mapping) and term.get("onto_id")
        ]
    # Other names of what was seen, such as "mouse", to be found by.
    known_terms = [known(field, word) for name, field in KNOWN.items() for word in found[name]]
    found["also"] = list(dict.fromkeys(name for term in known_terms if term for name in (term.name, *term.synonyms)))
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _identifier(path: Path, outer: Mapping[str, Any]) -> str:
    """`CIL_50451` or `CCDB_8192`, from the file's name, or else from the record's DOI."""
    for text in (path.stem, str(_mapping(outer, "Citation").get("DOI") or "")):
        named = re.search(r"(CIL|CCDB)?_?(\d+)$", text.strip(), flags=re.I)
        if named:
            return f"{(named[1] or 'CIL').upper()}_{int(named[2])}"
    raise BadRecord(f"{path.name} has no number.", "Name the file after its record, such as CIL_50451.json.")


def _name(id: str, citation: Mapping[str, Any], description: str) -> str:
    title = str(citation.get("Title") or "").strip() or re.split(r"(?<=[.!?])\s", description)[0].strip()
    return (title if len(title) <= MAXIMUM_NAME else f"{title[: MAXIMUM_NAME - 1].rstrip()}…") or id


def _texts(given: Any) -> list[str]:
    """The words of one term or of a list of them."""
    found = []
    for term in _list(given):
        text = (term.get("onto_name") or term.get("free_text")) if isinstance(term, Mapping) else term
        if isinstance(text, str) and text.strip():
            found.append(" ".join(re.sub(r"<[^>]*>", " ", text).split()))
    return found


def _authors(given: Any) -> list[str]:
    names: list[str] = []
    for entry in _list(given):
        people = entry.get("Contributors", entry.get("free_text")) if isinstance(entry, Mapping) else entry
        names += [name for person in _list(people) for name in _texts(person)]
    return list(dict.fromkeys(names))


def _pixel_size(given: Any) -> float | None:
    """Micrometres of a pixel in x, where the record tells them."""
    for entry in _list(given):
        space = entry.get("Space", entry) if isinstance(entry, Mapping) else None
        size = _mapping(space, "Pixel_size")
        try:
            value = float(size.get("value", size.get("Value", "")))
        except (TypeError, ValueError):
            continue
        unit = str(size.get("unit", size.get("Unit", ""))).strip().lower()
        if 0 < value < 1e9:
            return value * MICROMETRES.get(unit, 1.0)
    return None


def _file_name(entry: Any) -> str:
    return str(entry.get("File_path") or entry.get("name") or "") if isinstance(entry, Mapping) else str(entry or "")


def _mapping(given: Any, name: str) -> Mapping[str, Any]:
    inner = given.get(name) if isinstance(given, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _list(given: Any) -> list[Any]:
    return [] if given is None else given if isinstance(given, list) else [given]


def record_files(folder: Path) -> Iterator[Path]:
    """The JSON files in a folder and below, in order. Raises BadRecord when it is none or there are none."""
    if not folder.is_dir():
        raise BadRecord(f"There is no folder {folder}.", "Give the folder with the records' JSON files.")
    files = sorted(folder.rglob("*.json"))
    if not files:
        raise BadRecord(f"There are no JSON files in {folder}.", "Give the folder with the records' JSON files.")
    yield from files
