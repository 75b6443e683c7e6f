"""`zooscope reindex`: the search indices anew, while the service runs."""

from __future__ import annotations

import argparse
import sys
import zipfile
from contextlib import closing
from pathlib import Path

from zoo.blobs import DiskBlobs
from zoo.catalogue import Catalogue
from zoo.errors import UserError
from zoo.open_documents import open_documents
from zoo.searched_fields import declare_searched
from zoo.settings import read_settings
from zoo.submissions import Submissions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="data folder of the service (default: data)")
    parser.add_argument(
        "--packages", action="store_true", help="publish every stored package again whose documents were lost"
    )
    parser.add_argument(
        "--take-over", action="store_true", help="remove what a reindex left that was killed; none may be running"
    )


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings()
    settings = settings.replace(data=arguments.data or settings.data)
    with closing(open_documents(settings)) as documents:
        declare_searched(documents)
        if settings.elasticsearch:
            _move(documents, arguments.take_over)
        else:
            print("SQLite keeps its indices with its documents: there is nothing to build anew.")
        if arguments.packages:
            blobs = DiskBlobs(settings.blobs_folder, settings.free_disk_bytes)
            found = _publish_stored(Catalogue(documents, blobs, settings), blobs)
            print(f"{found} model versions are published.")
    return 0


def _move(documents: object, take_over: bool) -> None:
    from zoo.documents_elasticsearch import ElasticDocuments
    from zoo.elasticsearch_reindex import collections, reindex

    assert isinstance(documents, ElasticDocuments)
    for collection in collections(documents):
        count = reindex(documents, collection, take_over)
        print(f"{collection}: {count} {'document' if count == 1 else 'documents'}")


def _publish_stored(catalogue: Catalogue, blobs: DiskBlobs) -> int:
    """Packages are blobs like any other: those that are zips and models are found by looking. What came with a
    submission that was not published stays unpublished."""
    published = 0
    submissions = Submissions(catalogue.documents)
    for sha256 in list(blobs.sha256s()):
        if not zipfile.is_zipfile(blobs.path(sha256)) or submissions.hold_back(sha256):
            continue
        try:
            catalogue.publish(blobs.path(sha256))
            published += 1
        except UserError as error:
            print(f"Left out {sha256[:12]}…: {error.message}", file=sys.stderr)
    return published
