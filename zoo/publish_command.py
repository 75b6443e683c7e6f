"""`zooscope publish`: check a model package and add it to the zoo of a data folder, also while the service runs.

With `--server` it is submitted to that Zooscope instead, where a worker checks it and a reviewer publishes it.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from zoo.blobs import DiskBlobs
from zoo.catalogue import Catalogue
from zoo.open_documents import open_documents
from zoo.packages import PackageInvalid
from zoo.server_arguments import add_server, add_token, client, read_token
from zoo.settings import Settings, read_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "package", type=Path, help="a bioimage.io model package, format 0.5, as a .zip file; with --server also a bare "
        ".keras or .onnx network"
    )  # fmt: skip
    parser.add_argument("--data", type=Path, help="data folder of the service (default: data)")
    add_server(parser, "submit to this Zooscope instead of publishing into the data folder")
    add_token(parser)
    parser.add_argument("--fields", type=Path, metavar="FILE", help="what the form should hold, as YAML or JSON")
    parser.add_argument("--test-image", type=Path, metavar="FILE", help="an image that the check runs the model on")
    parser.add_argument("--cover", type=Path, metavar="FILE", help="a cover; the check makes one where there is none")
    parser.add_argument("--draft", metavar="ID", help="go on with a draft that was begun before")
    parser.add_argument("--no-submit", action="store_true", help="stop after the check; submit on the page later")


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings()
    settings = settings.replace(data=arguments.data or settings.data)
    if arguments.server:
        return _submit(arguments, settings)
    if not arguments.package.is_file():
        raise PackageInvalid(f"There is no file {arguments.package}.", "Give the path of a package's zip.")
    Path(settings.data).mkdir(parents=True, exist_ok=True)
    with closing(open_documents(settings)) as documents:
        blobs = DiskBlobs(settings.blobs_folder, settings.free_disk_bytes)
        model = Catalogue(documents, blobs, settings).publish(arguments.package)
    print(f"Published {model['id']} {model['version']} ({model['name']}), package {model['sha256']}")
    return 0


def _submit(arguments: argparse.Namespace, settings: Settings) -> int:
    from zoo.publish_remote import Submitting, files_by_role, read_form, tell

    files = files_by_role(arguments.package, arguments.test_image, arguments.cover)
    fields = read_form(arguments.fields)
    token = read_token(settings, arguments.token_file)
    with closing(client(settings, arguments.server, token)) as zoo:
        submitting = Submitting(zoo, tell)
        submitting.begin(arguments.draft, fields)
        submitting.send(files)
        submitting.check()
        if not arguments.no_submit:
            submitting.submit()
        print(f"{submitting.body['state']} {submitting.body['id']} {submitting.page}")
    return 0
