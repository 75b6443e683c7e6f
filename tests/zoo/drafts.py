"""A draft whose form is complete, for tests that make packages of it."""

from __future__ import annotations

from typing import Any

WORDS: dict[str, Any] = {
    "name": "Nuclei of tests",
    "id": "nuclei-of-tests",
    "version": "1.0.0",
    "description": "Finds nuclei in pictures made for tests.",
    "task": "segment",
    "structure": ["nucleus"],
    "modality": ["fluorescence microscopy"],
    "authors": [{"name": "Ada Tester", "orcid": "https://orcid.org/0000-0002-1825-0097"}],
    "licence": "CC-BY-4.0",
    "normalisation": "percentile",
    "sample_licence": "CC0-1.0",
}
