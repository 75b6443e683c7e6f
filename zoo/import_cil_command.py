"""`zooscope import-cil`: the Cell Image Library's public records into the documents, to be searched."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from zoo.cil_records import COLLECTION, BadRecord, read_record, record_files
from zoo.document_fields import DocumentInvalid
from zoo.documents import DocumentExists, DocumentMissing, Documents, RevisionConflict
from zoo.open_documents import open_documents
from zoo.searched_fields import declare_searched
from zoo.settings import read_settings

# A server answers several at once; SQLite writes what waits in one transaction.
THREADS = 8
SHOWN_ERRORS = 10
TRIES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder with a JSON file for each record")
    parser.add_argument("--data", type=Path, help="data folder of the service (default: data)")


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings()
    settings = settings.replace(data=arguments.data or settings.data)
    files = list(record_files(arguments.folder))
    Path(settings.data).mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with closing(open_documents(settings)) as documents:
        new, bad = import_records(documents, tqdm(files, unit=" records", disable=not sys.stderr.isatty()))
    took = time.monotonic() - started
    print(f"{len(files) - len(bad)} records are there, {new} of them new, after {took:.0f} s.")
    for error in bad[:SHOWN_ERRORS]:
        print(f"Left out: {error.message} {error.hint}", file=sys.stderr)
    if len(bad) > SHOWN_ERRORS:
        print(f"and {len(bad) - SHOWN_ERRORS} more.", file=sys.stderr)
    return 2 if bad and len(bad) == len(files) else 0


def import_records(documents: Documents, files: Iterable[Path]) -> tuple[int, list[BadRecord]]:
    """Store every record, over an older one of the same id; how many were new, and why which were left out."""
    declare_searched(documents)
    bad: list[BadRecord] = []

    def one(path: Path) -> bool:
        try:
            return store(documents, read_record(path))
        except DocumentInvalid as error:
            bad.append(BadRecord(f"{path.name} cannot be kept: {error.message}"))
        except BadRecord as error:
            bad.append(error)
        return False

    with ThreadPoolExecutor(THREADS) as pool:
        new = sum(pool.map(one, files))
    return new, bad


def store(documents: Documents, body: dict[str, object]) -> bool:
    """Whether the record was new; another import of the same one at the same time does no harm."""
    id = str(body["id"])
    for _ in range(TRIES):
        try:
            stored = documents.get(COLLECTION, id)
            if stored.body != body:
                documents.replace(COLLECTION, id, body, stored.revision)
            return False
        except DocumentMissing:
            try:
                documents.create(COLLECTION, id, body)
                return True
            except DocumentExists:
                continue
        except RevisionConflict:
            continue
    return False
