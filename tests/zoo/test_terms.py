"""The built-in terms: suggestions while somebody types, and what a word is known as."""

from __future__ import annotations

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from zoo.terms import FIELDS, UnknownTermField, known, page_of, suggest

IDS = re.compile(r"NCBITaxon:[0-9]+|GO:[0-9]{7}|CL:[0-9]{7}|UBERON:[0-9]{7}|FBbi:[0-9]{8}|CVCL_[0-9A-Z]{4}")


@pytest.mark.parametrize("field", FIELDS)
def test_the_list_is_sound(field: str) -> None:
    terms = [term for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for term in suggest(field, letter, 100)]
    assert len({term.name for term in terms}) > 30
    ids = {term.id: term.name for term in terms if term.id}
    assert all(IDS.fullmatch(id) for id in ids)
    assert len(set(ids.values())) == len(ids)
    assert all(page_of(id).startswith("http") for id in ids)
    for term in terms:
        assert known(field, term.name) == term


@pytest.mark.parametrize(
    ("field", "text", "first"),
    [
        ("organism", "mouse", "Mus musculus"),
        ("organism", "mus", "Mus musculus"),
        ("organism", "7227", "Drosophila melanogaster"),
        ("structure", "MITO", "mitochondrion"),
        ("structure", "reticulum endo", "endoplasmic reticulum"),
        ("structure", "nuclei", "nucleus"),
        ("cell_type", "hek", "HEK293"),
        ("modality", "sbem", "serial block-face scanning electron microscopy"),
        ("staining", "h&e", "hematoxylin and eosin"),
    ],
)
def test_the_likeliest_comes_first(field: str, text: str, first: str) -> None:
    assert suggest(field, text)[0].name == first


def test_what_is_known_by_its_other_names_and_id() -> None:
    term = known("structure", "Mitochondria")
    assert term is not None
    assert (term.id, term.name) == ("GO:0005739", "mitochondrion")
    assert known("structure", "GO:0005739") == term
    assert known("structure", "mito") is None
    assert known("organism", "") is None


def test_other_fields_have_no_terms() -> None:
    for ask in (lambda: suggest("colour", "red"), lambda: known("colour", "red")):
        with pytest.raises(UnknownTermField):
            ask()


@given(st.sampled_from(FIELDS), st.text(max_size=20), st.integers(-2, 60))
def test_any_text_may_be_typed(field: str, text: str, limit: int) -> None:
    assert len(suggest(field, text, limit)) <= max(0, limit)
    known(field, text)
    assert isinstance(page_of(text), str)
