"""Citations that reference managers take, whatever is in a name or a title, and what search engines are told."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_dois import PUBLIC_URL, version_document

from zoo.citation import (
    BIBTEX_ESCAPES,
    FORMATS,
    Name,
    UnknownFormat,
    bibtex,
    citation_format,
    citation_key,
    csl,
    csl_text,
    doi_url,
    escaped,
    keywords,
    landing_url,
    name_of,
    plain,
    published_on,
    ris,
    sentence,
)
from zoo.schema_org import json_ld, licence_url, schema_org

URL = landing_url(PUBLIC_URL, "cells", "1.0.0")
ANYTHING = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=60) | st.sampled_from(
    [
        "{",
        "}",
        "}{",
        "\\",
        "\\}",
        "a and b",
        "100 %",
        "$x_1^2$ # ~ &",
        "</script><script>",
        "a\r\nER  - \r\nTY  - X",
        '"',
    ]
)


def fields_of(entry: str) -> dict[str, str]:
    """The fields of a BibTeX entry as BibTeX reads them: to the brace that closes the first, by counting."""
    head, _, rest = entry.partition(",")
    assert re.fullmatch(r"@software\{[A-Za-z0-9-]+", head)
    found = {}
    while match := re.match(r"\s*([a-z]+) = ", rest):
        rest = rest[match.end() :]
        if rest[0] != "{":
            value, _, rest = rest.partition(",")
        else:
            depth = end = 0
            for end, character in enumerate(rest):  # noqa: B007
                depth += {"{": 1, "}": -1}.get(character, 0)
                if depth == 0:
                    break
            value, rest = rest[1:end], rest[end + 2 :]
        found[match[1]] = value
    assert rest.strip() == "}"
    return found


def unescaped(text: str) -> str:
    written = {value: key for key, value in BIBTEX_ESCAPES.items()}
    return re.sub("|".join(map(re.escape, sorted(written, key=len, reverse=True))), lambda m: written[m[0]], text)


def test_bibtex_of_a_model() -> None:
    fields = fields_of(bibtex(version_document(doi="10.12345/zs.abc_d"), URL))
    assert fields["author"] == "van der Berg, Ada and {The Zooscope founders}"
    assert fields["title"] == r"{Cells \& nuclei}"
    assert (fields["year"], fields["month"], fields["version"]) == ("2026", "sep", "1.0.0")
    assert (fields["doi"], fields["url"]) == ("10.12345/zs.abc_d", f"{PUBLIC_URL}/models/cells?version=1.0.0")
    assert fields["license"] == "CC-BY-4.0"


@given(ANYTHING, ANYTHING, ANYTHING)
def test_bibtex_says_what_it_was_given(name: str, author: str, description: str) -> None:
    document = version_document(name=name, authors=[{"name": author}, {"name": "B. Last"}], description=description)
    fields = fields_of(bibtex(document, URL))
    assert unescaped(fields["title"].removeprefix("{").removesuffix("}")) == (plain(name) or "cells")
    assert unescaped(fields.get("abstract", "")) == plain(description)
    assert len(split_at_and(fields["author"])) == 2


def split_at_and(authors: str) -> list[str]:
    """The authors as BibTeX takes them apart: at "and" outside of braces."""
    depth, outside = 0, ""
    for character in authors:
        depth += {"{": 1, "}": -1}.get(character, 0)
        outside += "x" if depth else character
    return re.split(r"\s+and\s+", outside, flags=re.IGNORECASE)


@given(ANYTHING)
def test_escaped_braces_are_balanced(text: str) -> None:
    written = escaped(text)
    depth = 0
    for character in written:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert unescaped(written) == text


@given(ANYTHING, ANYTHING)
def test_ris_keeps_its_lines(name: str, author: str) -> None:
    written = ris(version_document(name=name, authors=[{"name": author}], doi="10.12345/zs.x"), URL)
    lines = written.removesuffix("\r\n").split("\r\n")
    assert all(re.match(r"[A-Z][A-Z0-9]  - ", line) for line in lines)
    assert [line[:2] for line in lines].count("TY") == [line[:2] for line in lines].count("ER") == 1
    assert lines[0] == "TY  - COMP" and lines[-1] == "ER  - "  # noqa: PT018
    assert f"TI  - {plain(name) or 'cells'}" in lines
    assert "DO  - 10.12345/zs.x" in lines


def test_csl_of_a_model() -> None:
    item = csl(version_document(doi="10.12345/zs.x"), URL, "University of Cells")
    assert item["type"] == "software"
    assert item["author"] == [{"family": "van der Berg", "given": "Ada"}, {"literal": "The Zooscope founders"}]
    assert item["issued"] == {"date-parts": [[2026, 9, 21]]}
    assert (item["DOI"], item["publisher"]) == ("10.12345/zs.x", "University of Cells")
    assert json.loads(csl_text(version_document(), URL)) == [csl(version_document(), URL)]
    assert "DOI" not in csl(version_document(), URL)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Ada Lovelace", Name("Lovelace", "Ada")),
        ("Lovelace, Ada", Name("Lovelace", "Ada")),
        ("Ludwig van Beethoven", Name("van Beethoven", "Ludwig")),
        ("Carlos de la Torre", Name("de la Torre", "Carlos")),
        ("von Neumann", Name(literal="von Neumann")),
        ("李 明", Name("明", "李")),
        ("Plato", Name(literal="Plato")),
        ("The Zooscope founders", Name(literal="The Zooscope founders")),
        ("Human Protein Atlas Consortium", Name(literal="Human Protein Atlas Consortium")),
        ("a, b, c", Name(literal="a, b, c")),
        ("", Name(literal="Unnamed author")),
        (None, Name(literal="Unnamed author")),
    ],
)
def test_names_are_taken_apart_as_reference_managers_do(name: str | None, parts: Name) -> None:
    assert name_of({"name": name}) == parts


def test_who_has_an_orcid_is_a_person() -> None:
    assert name_of({"name": "Jo Network", "orcid": "0000-0002-1825-0097"}) == Name("Network", "Jo")


def test_the_formats_are_named() -> None:
    assert list(FORMATS) == ["bibtex", "ris", "csl"]
    assert citation_format("ris").write(version_document(), URL, "Zooscope").startswith("TY  - COMP\r\n")
    with pytest.raises(UnknownFormat) as error:
        citation_format("endnote")
    assert "bibtex, ris, csl" in error.value.hint


def test_people_read_a_sentence() -> None:
    assert sentence(version_document(doi="10.12345/zs.x"), URL) == (
        "van der Berg, Ada; The Zooscope founders (2026). Cells & nuclei (version 1.0.0). Zooscope. "
        "https://doi.org/10.12345/zs.x"
    )
    assert sentence(version_document(), URL).endswith(URL)


def test_small_things() -> None:
    assert citation_key({"id": "em.mito_2", "version": "1.1.0-rc1"}) == "em-mito-2-1-1-0-rc1"
    assert doi_url("10.12345/a<b>#c") == "https://doi.org/10.12345/a%3Cb%3E%23c"
    assert landing_url("https://zoo.org/", "cells") == "https://zoo.org/models/cells"
    assert keywords({"tags": ["EM", "em"], "about": {"structure": ["nucleus"], "task": "segment"}}) == ["EM", "nucleus"]
    assert published_on({"created": "2024-02-29T01:02:03"}) == datetime(2024, 2, 29, tzinfo=UTC)
    assert published_on({"created": "soon"}).year >= 2026


def test_search_engines_are_told_what_the_model_is() -> None:
    about = {"structure": ["nucleus"], "structure_ids": ["GO:0005634"], "organism": ["mouse"]}
    document = version_document(doi="10.12345/zs.x", concept_doi="10.12345/zs.c", cover="cover.png", about=about)
    metadata = schema_org(document, URL)
    assert metadata["@id"] == "https://doi.org/10.12345/zs.x"
    assert metadata["url"] == URL
    assert metadata["license"] == "https://spdx.org/licenses/CC-BY-4.0"
    assert metadata["downloadUrl"] == f"{PUBLIC_URL}/api/v1/models/cells/versions/1.0.0/package.zip"
    assert metadata["creator"][0] == {
        "@type": "Person",
        "@id": "https://orcid.org/0000-0002-1825-0097",
        "name": "Ada van der Berg",
        "givenName": "Ada",
        "familyName": "van der Berg",
        "affiliation": {"@type": "Organization", "name": "Institute of Cells"},
    }
    assert metadata["isPartOf"]["@id"] == "https://doi.org/10.12345/zs.c"
    assert {"@type": "DefinedTerm", "name": "nucleus", "termCode": "GO:0005634"} in metadata["about"]
    assert {"@type": "DefinedTerm", "name": "mouse"} in metadata["about"]


@given(ANYTHING, ANYTHING)
def test_no_text_ends_the_script_element(name: str, description: str) -> None:
    document = version_document(name=name, description=description)
    text = json_ld(document, URL)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == schema_org(document, URL)


def test_a_document_with_next_to_nothing_is_cited_too() -> None:
    bare = {"id": "cells", "version": "1", "name": "", "authors": None, "cite": [None, {}], "about": {"organism": "x"}}
    assert fields_of(bibtex(bare, URL))["author"] == "{Unnamed author}"
    assert schema_org(bare, URL)["name"] == "cells"
    assert licence_url("see the README") == "see the README"
