"""What models and the images of the library are searched by: declared, so that 100,000 of them are searched quickly."""

from __future__ import annotations

from zoo.documents import Documents, Fields
from zoo.shown_models import MODELS

LIBRARY = "library"
# What the search page counts; the fields of the first zoo may still be filtered by, for links use them.
FACETS = (
    "about.task", "about.structure", "about.organism", "about.cell_type", "about.modality", "about.staining",
    "about.dimensionality", "about.framework", "licence",
)  # fmt: skip
OLD_FACETS = ("head.object", "head.kind", "tags")
MODEL_FIELDS = Fields(
    single=("name", "created", "owner", "published_at", "pixel_size_um", "speed_s_per_mp", "usage.tried",
            "usage.downloads"),
    several=(*FACETS, *OLD_FACETS, "about.structure_ids", "about.organism_ids", "about.cell_type_ids",
             "about.modality_ids", "about.parent.id"),
    orders=(("name",), ("created",), ("owner",)),
    text=True,
    facets=(*FACETS, *OLD_FACETS),
    numbers=("published_at", "pixel_size_um", "speed_s_per_mp", "usage.tried", "usage.downloads"),
)  # fmt: skip
LIBRARY_FACETS = (
    "organism", "cell_type", "cell_line", "cellular_component", "modality", "imaging_mode", "licence", "source",
)  # fmt: skip
LIBRARY_FIELDS = Fields(
    single=("name", "pixel_size_um"),
    several=LIBRARY_FACETS,
    orders=(("name",),),
    text=True,
    facets=LIBRARY_FACETS,
    numbers=("pixel_size_um",),
)


def declare_searched(documents: Documents) -> None:
    """Say what both collections are searched by; whoever writes to them first, or searches them, does."""
    documents.declare(MODELS, MODEL_FIELDS)
    documents.declare(LIBRARY, LIBRARY_FIELDS)
