"""Made-up documents for measuring searches: models as the catalogue keeps them, and records of the Cell Image Library.

Their words are as unevenly common as in a real zoo (Zipf), and the same for the same seed.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from zoo.package_metadata import TASKS, tidied
from zoo.terms import FIELDS, suggest

SYLLABLES = tuple(f"{one}{two}" for one in "bcdfghjklmnprstvz" for two in "aeiou")
VOCABULARY = 30_000
LICENCES = ("CC-BY-4.0", "CC0-1.0", "MIT", "BSD-3-Clause", "Apache-2.0", "CC-BY-NC-SA-3.0")
OBJECTS = ("nucleus", "mitochondrion", "cell", "synapse", "vesicle", "membrane", "axon", "spot")
SIZES_UM = (0.004, 0.0046, 0.005, 0.008, 0.01, 0.03, 0.065, 0.1, 0.16, 0.325, 0.5, 0.65, 1.3)


class Made:
    """A source of documents; `words` are made up, `terms` those of the zoo's list."""

    def __init__(self, seed: int = 6) -> None:
        self.random = random.Random(seed)
        made: dict[str, None] = {}
        while len(made) < VOCABULARY:
            made["".join(self.random.choices(SYLLABLES, k=self.random.randint(2, 5)))] = None
        self.words = list(made)
        self._weights = _accumulated(len(self.words))
        self.terms = {field: [term.name for term in suggest(field, "", 100)] for field in FIELDS}
        self._term_weights = {field: _accumulated(len(names)) for field, names in self.terms.items()}

    def text(self, count: int) -> str:
        return " ".join(self.random.choices(self.words, cum_weights=self._weights, k=count))

    def term(self, field: str) -> str:
        return self.random.choices(self.terms[field], cum_weights=self._term_weights[field])[0]

    def several(self, field: str) -> list[str]:
        return [self.term(field) for _ in range(self.random.choice((0, 1, 1, 1, 2, 3)))]

    def model(self, number: int) -> dict[str, Any]:
        """A document of the collection `models`."""
        pick = self.random
        about: dict[str, Any] = {field: self.several(field) for field in FIELDS}
        about |= {
            "task": pick.choice(TASKS),
            "dimensionality": pick.choice(("2d", "2d", "2.5d", "3d")),
            "framework": pick.choice(("keras", "onnx")),
        }
        named = pick.choice(OBJECTS)
        created = 1.6e9 + pick.random() * 2e8
        version = {"version": "1.0.0", "package_sha256": f"{number:064x}", "package_bytes": 10**6, "created": "",
                   "published_at": created}  # fmt: skip
        return version | {
            "id": f"model-{number}",
            "name": f"{self.text(2)} {named} {number}".capitalize(),
            "description": f"{self.text(20)} {' '.join(about['structure'])}.",
            "licence": pick.choice(LICENCES),
            "authors": [{"name": self.text(2).title()} for _ in range(pick.randint(1, 4))],
            "cite": [{"text": self.text(8), "doi": f"10.5281/zenodo.{number}"}],
            "tags": [self.term("structure"), *self.text(4).split()],
            "head": {"kind": "watershed-instances", "object": named, "objects": f"{named}s", "threshold": 0.5},
            "axes": "byxc", "channels": 1, "channel_names": ["raw"], "weights_format": "keras_v3",
            "ert": {"cpu": {"load_s": 1.0, "seconds_per_megapixel": 0.5, "n": 5}},
            "pixel_size_um": pick.choice((*SIZES_UM, None)),
            "about": tidied(about),
            "card": f"# {named}\n\n{self.text(60)}",
            "scores": [{"dataset": self.text(2), "metric": "AP", "value": round(pick.random(), 3)}],
            "speed_s_per_mp": round(pick.lognormvariate(-1, 1), 3),
            "usage": {"tried": int(pick.paretovariate(0.8)) - 1, "downloads": int(pick.paretovariate(1)) - 1},
            "versions": [version],
        }  # fmt: skip

    def record(self, number: int) -> dict[str, Any]:
        """A record as the Cell Image Library publishes it."""

        def terms(field: str) -> list[dict[str, str]]:
            return [{"onto_id": f"X:{number}", "onto_name": name} for name in self.several(field)]

        size = self.random.choice(SIZES_UM)
        core = {
            "IMAGEDESCRIPTION": {"free_text": self.text(60)},
            "TECHNICALDETAILS": {"free_text": self.text(40)},
            "NCBIORGANISMALCLASSIFICATION": terms("organism"),
            "CELLTYPE": terms("cell_type"),
            "CELLULARCOMPONENT": terms("structure"),
            "ITEMTYPE": terms("modality"),
            "TERMSANDCONDITIONS": {"free_text": self.random.choice(("public_domain", "attribution_cc_by"))},
            "ATTRIBUTION": {"Contributors": [self.text(2).title()]},
            "DIMENSION": [{"Space": {"axis": "X", "Pixel_size": {"unit": "µm", "value": size}}}],
        }
        citation = {"DOI": f"doi:10.7295/W9CIL{number}", "Title": self.text(6)}
        return {"CIL_CCDB": {"Citation": citation, "CIL": {"CORE": core, "Image_files": [f"{number}.tif"]}}}

    def write_records(self, folder: Path, count: int) -> Path:
        """A folder with `count` records, each in a file of its own."""
        folder.mkdir(parents=True)
        for number in range(1, count + 1):
            (folder / f"CIL_{number}.json").write_text(json.dumps(self.record(number)), encoding="utf-8")
        return folder

    def misspelt(self, word: str) -> str:
        """The word with two neighbours swapped behind its first letter."""
        place = self.random.randrange(1, len(word) - 1)
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _accumulated(count: int) -> list[float]:
    """Weights 1, 1/2, 1/3, ... added up."""
    total, found = 0.0, []
    for number in range(1, count + 1):
        total += 1 / number
        found.append(total)
    return found
