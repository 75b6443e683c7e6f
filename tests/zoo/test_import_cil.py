"""Records of the Cell Image Library: read whatever shape they have, and searched in either engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zooscope
from zoo.cil_records import COLLECTION, BadRecord, read_record
from zoo.documents import Query
from zoo.documents_sqlite import SqliteDocuments

RECORD: dict[str, Any] = {
    "CIL_CCDB": {
        "Status": {"Deleted": False, "Is_public": True},
        "Citation": {"DOI": "doi:10.7295/W9CIL50451", "ARK": "ark:/b7295/w9cil50451", "Title": "Mouse hypothalamus"},
        "CIL": {
            "CORE": {
                "IMAGEDESCRIPTION": {"free_text": "Serial block-face volume of the <i>SCN</i>. Second sentence."},
                "TECHNICALDETAILS": {"free_text": "Stained with osmium."},
                "TERMSANDCONDITIONS": {"free_text": "attribution_cc"},
                "ATTRIBUTION": [{"Contributors": ["A. Author", "B. Author"]}],
                "NCBIORGANISMALCLASSIFICATION": [{"onto_id": "NCBITaxon:10090", "onto_name": "Mus musculus"}],
                "CELLTYPE": {"onto_id": "CL:0000540", "onto_name": "neuron"},
                "CELLULARCOMPONENT": [{"onto_name": "mitochondrion"}, {"free_text": "vesicles"}],
                "ITEMTYPE": [{"onto_name": "SBEM"}],
                "DIMENSION": [
                    {"Space": {"axis": "X", "Image_size": 16000, "Pixel_size": {"unit": "nm", "value": 7.3}}}
                ],
            },
            "Image_files": [{"File_path": "50451.zip", "Mime_type": "application/zip"}],
        },
    }
}


def write(folder: Path, name: str, record: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return path


def test_a_record_becomes_a_plain_document(tmp_path: Path) -> None:
    found = read_record(write(tmp_path, "50451.json", RECORD))
    # Other names, to be found by.
    assert {"mouse", "mitochondria", "serial block-face scanning electron microscopy"} <= set(found.pop("also"))
    assert found == {
        "id": "CIL_50451",
        "source": "cil",
        "name": "Mouse hypothalamus",
        "description": "Serial block-face volume of the SCN . Second sentence.",
        "technical_details": "Stained with osmium.",
        "licence": "attribution_cc",
        "authors": ["A. Author", "B. Author"],
        "doi": "10.7295/W9CIL50451",
        "url": "http://cellimagelibrary.org/images/50451",
        "pixel_size_um": pytest.approx(0.0073),
        "files": ["50451.zip"],
        "organism": ["Mus musculus"],
        "organism_ids": ["NCBITaxon:10090"],
        "cell_type": ["neuron"],
        "cell_type_ids": ["CL:0000540"],
        "cellular_component": ["mitochondrion", "vesicles"],
        "modality": ["SBEM"],
    }


def test_records_are_found_by_words_and_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, data = tmp_path / "records", tmp_path / "data"
    write(folder, "CIL_50451.json", RECORD)
    write(
        folder / "more", "CCDB_8192.json", {"CIL_CCDB": {"CIL": {"CORE": {"CELLTYPE": {"free_text": "Purkinje cell"}}}}}
    )
    write(folder, "CIL_1.json", "{")
    write(folder, "CIL_2.json", {"something": "else"})
    for new in (2, 0):
        assert zooscope.main(["import-cil", str(folder), "--data", str(data)]) == 0
        told = capsys.readouterr()
        assert told.out.startswith(f"2 records are there, {new} of them new")
        assert "CIL_1.json is not JSON." in told.err
        assert "CIL_2.json is no record of the Cell Image Library." in told.err
    documents = SqliteDocuments(data / "documents.sqlite3")
    assert documents.search(COLLECTION, Query(text="mouse neuron")).total == 1
    found = documents.search(COLLECTION, Query(text="purkin", facets=["source"]))
    assert [item.id for item in found.items] == ["CCDB_8192"]
    found = documents.search(
        COLLECTION, Query(filters={"organism": ["Mus musculus"]}, ranges={"pixel_size_um": (0, 1)})
    )
    assert [item.id for item in found.items] == ["CIL_50451"]
    documents.close()


def test_a_changed_record_replaces_the_old_one(tmp_path: Path) -> None:
    folder, data = tmp_path / "records", tmp_path / "data"
    for title in ("Before", "After"):
        record = {"CIL_CCDB": {"Citation": {"Title": title}, "CIL": {"CORE": {"CELLTYPE": []}}}}
        write(folder, "7.json", record)
        zooscope.main(["import-cil", str(folder), "--data", str(data)])
    documents = SqliteDocuments(data / "documents.sqlite3")
    assert [item.body["name"] for item in documents.search(COLLECTION, Query()).items] == ["After"]
    documents.close()


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir()])
def test_a_folder_without_records_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any) -> None:
    make(tmp_path / "records")
    assert zooscope.main(["import-cil", str(tmp_path / "records"), "--data", str(tmp_path / "data")]) == 2
    assert "Give the folder" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["free_text", "onto_name", "Space", "Pixel_size", "value", "Contributors"]), inner
        )
    ),
    max_leaves=10,
)


@given(core=st.dictionaries(st.sampled_from(sorted(RECORD["CIL_CCDB"]["CIL"]["CORE"])), JSON), citation=JSON)
def test_no_shape_of_a_record_is_an_accident(
    core: dict[str, Any], citation: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    record = {"CIL_CCDB": {"Citation": citation, "CIL": {"CORE": core, "Image_files": citation}}}
    path = write(tmp_path_factory.mktemp("records"), "3.json", record)
    try:
        found = read_record(path)
    except BadRecord:
        assert not core
    else:
        assert found["id"] == "CIL_3"
