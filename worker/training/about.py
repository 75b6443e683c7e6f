"""What biologists ask of the seed models, for `config.zooscope.about` (see `zoo/package_metadata.py`)."""

from __future__ import annotations

from typing import Any

NERVOUS_TISSUE: dict[str, Any] = {
    "organism": ["Drosophila melanogaster"],
    "organism_ids": ["NCBITaxon:7227"],
    "cell_type": ["neuron"],
    "cell_type_ids": ["CL:0000540"],
    "modality": ["electron microscopy", "serial section transmission electron microscopy"],
    "modality_ids": ["FBbi:00000256"],
    "plane_size_um": 0.05,
    "training_data": [
        {"name": "Segmented anisotropic ssTEM dataset of neural tissue", "doi": "10.6084/m9.figshare.856713"}
    ],
}
ABOUT: dict[str, dict[str, Any]] = {
    "blood-cells": {
        "task": "detect",
        "structure": ["cell"],
        "structure_ids": ["CL:0000000"],
        "organism": ["Homo sapiens"],
        "organism_ids": ["NCBITaxon:9606"],
        "cell_type": ["erythrocyte", "leukocyte", "platelet"],
        "cell_type_ids": ["CL:0000232", "CL:0000738", "CL:0000233"],
        "modality": ["bright-field microscopy", "histology"],
        "modality_ids": ["FBbi:00000243"],
        "dimensionality": "2d",
        "framework": "keras",
        "training_data": [{"name": "BCCD", "url": "https://github.com/Shenggan/BCCD_Dataset"}],
    },
    "em-membranes": NERVOUS_TISSUE
    | {
        "task": "instances",
        "structure": ["membrane", "cell"],
        "structure_ids": ["GO:0016020", "CL:0000000"],
        "dimensionality": "2d",
        "framework": "keras",
    },
    "em-mitochondria": NERVOUS_TISSUE
    | {
        "task": "segment",
        "structure": ["mitochondrion"],
        "structure_ids": ["GO:0005739"],
        "dimensionality": "2.5d",
        "framework": "keras",
    },
    "nuclei": {
        "task": "instances",
        "structure": ["nucleus"],
        "structure_ids": ["GO:0005634"],
        "organism": ["Homo sapiens", "Mus musculus", "Drosophila melanogaster"],
        "organism_ids": ["NCBITaxon:9606", "NCBITaxon:10090", "NCBITaxon:7227"],
        "modality": ["fluorescence microscopy", "bright-field microscopy", "histology"],
        "modality_ids": ["FBbi:00000246", "FBbi:00000243"],
        "staining": ["DAPI", "Hoechst 33342", "hematoxylin and eosin"],
        "dimensionality": "2d",
        "framework": "keras",
        "training_data": [{"name": "BBBC038v1", "url": "https://bbbc.broadinstitute.org/BBBC038"}],
    },
    "spots": {
        "task": "detect",
        "structure": ["spot", "cell"],
        "structure_ids": ["CL:0000000"],
        "modality": ["fluorescence microscopy"],
        "modality_ids": ["FBbi:00000246"],
        "dimensionality": "2d",
    },
}
