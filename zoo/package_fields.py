"""The form in which an author describes a model: its fields, one table for the page, the checks and the documentation.

A submission's `fields` hold what was typed, by these names. Numbers may come as text, as fields of a page give them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TEXT, LONG, CHOICE, LIST, NUMBER, WHOLE, ROWS = "text", "long", "choice", "list", "number", "whole", "rows"
WHAT, HOW = "what", "how"
LONGEST_LINE, LONGEST_DESCRIPTION, LONGEST_CARD, LONGEST_NAME = 300, 1024, 100_000, 128
MOST_ENTRIES, MOST_ROWS = 50, 200


@dataclass(frozen=True)
class Field:
    """One field: `step` is where the form asks for it, `term` the list of terms that completes it, if any; `choices`
    are (value, label). `columns` are those of a field of rows: (name, label). `bare` ones are only asked of a network
    without a package.
    """

    name: str
    step: str
    label: str
    kind: str = TEXT
    help: str = ""
    required: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    term: str = ""
    unit: str = ""
    bare: bool = False
    longest: int = LONGEST_LINE
    columns: tuple[tuple[str, str], ...] = ()
    least: float = 0.0
    most: float = 1e6


TASKS = (
    ("segment", "Segment: which pixels belong to it"),
    ("instances", "Instances: every object one by one"),
    ("detect", "Detect: a box around every object"),
    ("count", "Count: a point for every object"),
)
DIMENSIONALITIES = (
    ("2d", "2D: one plane"), ("2.5d", "2.5D: a plane with its neighbours"), ("3d", "3D"),
)  # fmt: skip
NORMALISATIONS = (
    ("percentile", "Percentiles 1 and 99.8 of the whole image to 0 and 1"),
    ("percentile-channel", "Percentiles 1 and 99.8 of each channel to 0 and 1"),
    ("mean-std", "Mean 0 and deviation 1 over the whole image"),
    ("mean-std-channel", "Mean 0 and deviation 1 of each channel"),
    ("divide-255", "Divide by 255: 8-bit images to 0 and 1"),
    ("none", "None: the network takes the image's own numbers"),
)
ACTIVATIONS = (
    ("none", "The maps are as they should be"),
    ("sigmoid", "Sigmoid: the maps are logits, each by itself"),
    ("softmax", "Softmax: the maps are logits of classes that exclude each other"),
)
# The SPDX identifiers that the form offers; any other may be typed.
LICENCES = (
    "CC-BY-4.0", "CC0-1.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "MIT", "BSD-2-Clause", "BSD-3-Clause",
    "Apache-2.0", "ISC", "MPL-2.0", "LGPL-3.0-or-later", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later",
    "AGPL-3.0-or-later", "EUPL-1.2", "ODbL-1.0", "PDDL-1.0",
)  # fmt: skip

FIELDS = (
    Field("name", WHAT, "Name", help="What people will look for, such as Nuclei in stained tissue.", required=True,
          longest=LONGEST_NAME),
    Field("id", WHAT, "Address", help="The last part of the model's link: a-z, 0-9 and hyphens. It never changes.",
          required=True, longest=100),
    Field("version", WHAT, "Version", help="1.0.0 for the first; other files need a higher one.", required=True,
          longest=40),
    Field("description", WHAT, "In one or two sentences", LONG, "What it finds, in what images, and how well.",
          required=True, longest=LONGEST_DESCRIPTION),
    Field("task", WHAT, "What it does", CHOICE, required=True, choices=TASKS),
    Field("structure", WHAT, "What it finds", LIST, "Structures, such as nucleus or mitochondrion.", required=True,
          term="structure"),
    Field("modality", WHAT, "Imaging", LIST, "How the images were made, such as fluorescence microscopy.",
          required=True, term="modality"),
    Field("organism", WHAT, "Organisms", LIST, "Of the images it was trained on.", term="organism"),
    Field("cell_type", WHAT, "Cell types", LIST, term="cell_type"),
    Field("staining", WHAT, "Staining", LIST, "Stains and labels, such as DAPI or H&E.", term="staining"),
    Field("not_for", WHAT, "What it is not for", help="Images on which it is known to fail, uses to refrain from."),
    Field("authors", WHAT, "Authors", ROWS, required=True,
          columns=(("name", "Name"), ("affiliation", "Affiliation"), ("orcid", "ORCID"))),
    Field("licence", WHAT, "Licence", help="An SPDX identifier. CC-BY-4.0 lets everybody use it who names you.",
          required=True, longest=60),
    Field("cite", WHAT, "To be cited", ROWS, "Papers and data that whoever uses the model should cite.",
          columns=(("text", "Reference"), ("doi", "DOI"), ("url", "Link"))),
    Field("training_data", WHAT, "Trained on", ROWS, columns=(("name", "Data set"), ("url", "Link or DOI"))),
    Field("tags", WHAT, "Further words", LIST, "Words that people search for."),
    Field("card", WHAT, "Model card", LONG, "All the rest, in Markdown: training, validation, limits.",
          longest=LONGEST_CARD),
    Field("axes", HOW, "Axes of the network's input", CHOICE, bare=True, required=True, choices=(
        ("byxc", "batch, y, x, channel (Keras)"), ("bcyx", "batch, channel, y, x (PyTorch)"), ("byx", "batch, y, x"),
        ("yxc", "y, x, channel"), ("cyx", "channel, y, x"), ("yx", "y, x"))),
    Field("channel_names", HOW, "Channels of the image", LIST,
          "In the order the network takes them, such as red, green, blue.", required=True, bare=True),
    Field("output_channels", HOW, "Maps the network makes", LIST,
          "In their order, such as foreground, distance.", required=True, bare=True),
    Field("normalisation", HOW, "What is done to the image first", CHOICE, required=True, bare=True,
          choices=NORMALISATIONS),
    Field("activation", HOW, "What is done to the maps", CHOICE, bare=True, choices=ACTIVATIONS),
    Field("pixel_size_um", HOW, "Pixel size", NUMBER, "Of the images it was trained on; images are resized to it.",
          unit="µm", least=1e-5, most=1e4),
    Field("plane_size_um", HOW, "Plane distance", NUMBER, "Of stacks it was trained on.", unit="µm", least=1e-5,
          most=1e4),
    Field("dimensionality", HOW, "Dimensions", CHOICE, choices=DIMENSIONALITIES),
    Field("stride", HOW, "Sides must be multiples of", WHOLE, "Of the network's poolings taken together.", unit="px",
          bare=True, required=True, least=1, most=1024),
    Field("minimum_size", HOW, "Smallest side", WHOLE, unit="px", bare=True, least=1, most=8192),
    Field("halo", HOW, "How far it sees", WHOLE,
          "So much of a tile's border is thrown away, that no seams are seen.", unit="px", bare=True, most=2048),
    Field("output_stride", HOW, "A cell of the maps is", WHOLE, "1 when maps are as large as the image.", unit="px",
          bare=True, least=1, most=64),
    Field("sample_title", HOW, "What the test image shows", help="People try the model on it.", bare=True),
    Field("sample_origin", HOW, "Where it comes from", help="Who made it, or a data set.", bare=True),
    Field("sample_licence", HOW, "Licence of the test image", help="It is published with the model.", bare=True,
          required=True, longest=60),
)  # fmt: skip
BY_NAME = {field.name: field for field in FIELDS}
# Kept beside those of the table: what turns maps into objects (`zoo.package_head_form`), and what the file fixes.
OTHERS = ("head", "input_size", "output_axes")


def text(fields: Mapping[str, Any], name: str) -> str:
    """The text of a field, without spaces around it; empty when it is none."""
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def texts(fields: Mapping[str, Any], name: str) -> list[str]:
    """The words of a list, each once, without empty ones."""
    value = fields.get(name)
    words = [word.strip() for word in value if isinstance(word, str)] if isinstance(value, list) else []
    return list(dict.fromkeys(word for word in words if word))


def rows(fields: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    """The rows of a table that say something, their empty cells left out."""
    value = fields.get(name)
    given = [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
    cleaned = [
        {key: cell.strip() for key, cell in row.items() if isinstance(cell, str) and cell.strip()} for row in given
    ]
    return [row for row in cleaned if row]


def number(fields: Mapping[str, Any], name: str) -> float | None:
    """The number of a field, also when it was typed with a decimal comma; None when it is none."""
    value = fields.get(name)
    if isinstance(value, str):
        try:
            value = float(value.strip().replace(",", "."))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def whole(fields: Mapping[str, Any], name: str) -> int | None:
    found = number(fields, name)
    return int(found) if found is not None and found == int(found) else None


def is_empty(fields: Mapping[str, Any], field: Field) -> bool:
    """Whether nothing was given that could be read as the field's kind."""
    if field.kind in (NUMBER, WHOLE):
        value = fields.get(field.name)
        return value is None or (isinstance(value, str) and not value.strip())
    if field.kind == LIST:
        return not texts(fields, field.name)
    if field.kind == ROWS:
        return not rows(fields, field.name)
    return not text(fields, field.name)
