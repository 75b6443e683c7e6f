"""`zooscope dois`: the DOIs of a zoo, those that wait for their registry first; `zooscope dois resume` asks it now."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from zoo.blobs import DiskBlobs
from zoo.documents import MAXIMUM_PAGE_SIZE, Query
from zoo.doi_documents import COLLECTION
from zoo.doi_minting import Minting
from zoo.doi_registry import open_registry
from zoo.open_documents import open_documents
from zoo.settings import read_settings

ACTIONS = ("list", "resume")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list", help="resume: go on with what waits, now")
    parser.add_argument("--data", type=Path, help="data folder of the service (default: data)")


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings()
    settings = settings.replace(data=arguments.data or settings.data)
    with closing(open_documents(settings)) as documents:
        blobs = DiskBlobs(settings.blobs_folder)
        minting = Minting(documents, open_registry(settings), settings.public_url, blobs)
        if arguments.action == "resume":
            print(f"{minting.resume(at_once=True)} finished")
        found = [
            documents.search(
                COLLECTION,
                Query(filters={"kind": ["version"], "pending": [pending]}, sort="changed_at", size=MAXIMUM_PAGE_SIZE),
            )
            for pending in (True, False)
        ]
    if not minting.registry.mints:
        print("ZOOSCOPE_DOI_REGISTRY is none: no DOIs are minted.")
    for item in (item for page in found for item in page.items):
        body = item.body
        line = f"{body['model_id']}@{body['version']}"
        print(f"{line:<32} {body['state']:<12} {body['doi'] or '-':<36} {body['registry']} {body['problem']}".rstrip())
    if (more := sum(page.total - len(page.items) for page in found)) > 0:
        print(f"and {more} more")
    return 0
