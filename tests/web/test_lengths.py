from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.lengths import BadLength, in_words, micrometres, said
from zoo.image_pixel_size import LARGEST_UM, SMALLEST_UM


@pytest.mark.parametrize(
    ("text", "um"),
    [
        ("5 nm", 0.005),
        ("5nm", 0.005),
        ("0,65 µm", 0.65),
        ("0.65 μm", 0.65),
        (".65um", 0.65),
        ("0.65", 0.65),
        ("2 Å", 2e-4),
    ],
)
def test_lengths_are_read_as_people_write_them(text: str, um: float) -> None:
    assert micrometres(text) == pytest.approx(um)


def test_no_length_is_none() -> None:
    assert micrometres("  ") is None


@pytest.mark.parametrize(
    "text", ["five", "5 parsec", "-5 nm", "0", "1e400", "nan", "9" * 60, "5 nm x", "2 km", "\u0665 nm"]
)
def test_what_is_no_pixel_size_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadLength) as refused:
        micrometres(text)
    assert "5 nm" in refused.value.hint


@given(st.floats(SMALLEST_UM * 2, LARGEST_UM / 2))
def test_a_length_said_is_read_again(um: float) -> None:
    assert micrometres(said(um)) == pytest.approx(um, rel=0.006)


@given(st.text(max_size=60))
def test_no_text_is_an_accident(text: str) -> None:
    try:
        found = micrometres(text)
    except BadLength:
        return
    assert found is None or SMALLEST_UM <= found <= LARGEST_UM


def test_a_length_among_words_is_found() -> None:
    assert in_words("mitochondria at 5 nm mouse") == ("mitochondria at mouse", pytest.approx(0.005))
    assert in_words("5nm") == ("", pytest.approx(0.005))
    for words in ("mitochondria", "step5 nm", "5 nmol", "COS7"):
        assert in_words(words) == (words, None)
