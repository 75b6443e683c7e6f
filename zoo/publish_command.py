"""`zooscope publish`: check a model package and add it to the zoo of a data folder, also while the service runs."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from zoo.blobs import DiskBlobs
from zoo.catalogue import Catalogue
from zoo.open_documents import open_documents
from zoo.packages import PackageInvalid
from zoo.settings import read_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package", type=Path, help="a bioimage.io model package, format 0.5, as a .zip file")
    parser.add_argument("--data", type=Path, help="data folder of the service (default: data)")


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings()
    settings = settings.replace(data=arguments.data or settings.data)
    if not arguments.package.is_file():
        raise PackageInvalid(f"There is no file {arguments.package}.", "Give the path of a package's zip.")
    Path(settings.data).mkdir(parents=True, exist_ok=True)
    with closing(open_documents(settings)) as documents:
        blobs = DiskBlobs(settings.blobs_folder, settings.free_disk_bytes)
        model = Catalogue(documents, blobs, settings).publish(arguments.package)
    print(f"Published {model['id']} {model['version']} ({model['name']}), package {model['sha256']}")
    return 0
