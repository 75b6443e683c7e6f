"""`zooscope models`: the models in the zoo of a data folder, a line for each."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from zoo.blobs import DiskBlobs
from zoo.catalogue import Catalogue
from zoo.errors import UserError
from zoo.open_documents import open_documents
from zoo.settings import read_settings

PAGE = 100


class NoZoo(UserError):
    code = "no-zoo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", help="only models that match these words")
    parser.add_argument("--data", type=Path, help="data folder of the service (default: data)")


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings()
    settings = settings.replace(data=arguments.data or settings.data)
    if not (settings.elasticsearch or settings.documents_file.is_file()):
        raise NoZoo(f"There is no zoo in {settings.data} yet.", "Start it with `zooscope up`, or publish a package.")
    with closing(open_documents(settings)) as documents:
        catalogue = Catalogue(documents, DiskBlobs(settings.blobs_folder), settings)
        found = catalogue.search(" ".join(arguments.words), page_size=PAGE)
    for item in found.items:
        model = item.body
        print(f"{model['id']:<24} {model['version']:<10} {model['finds'] or model['description']}")
    if found.total > len(found.items):
        print(f"and {found.total - len(found.items)} more: give words to search for")
    return 0
