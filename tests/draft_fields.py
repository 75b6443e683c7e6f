"""What an author types about a small network: all that the form asks for."""

from __future__ import annotations

from typing import Any

FIELDS: dict[str, Any] = {
    "name": "Bright things", "id": "bright-things", "version": "1.0.0", "description": "Finds what is bright.",
    "task": "segment", "structure": ["nucleus"], "modality": ["fluorescence microscopy"],
    "authors": [{"name": "Ada Tester"}], "licence": "CC-BY-4.0",
    "cite": [{"text": "A paper", "doi": "10.5281/zenodo.0"}],
    "axes": "bcyx", "channel_names": ["grey"], "output_channels": ["bright"], "normalisation": "percentile",
    "stride": "8", "head": {"kind": "probability-mask"}, "sample_licence": "CC0-1.0",
}  # fmt: skip
