"""What an uploaded file is and what it tells of itself: a package, a `.keras` or an `.onnx` network. Nothing is run.

A stranger's file is looked at in a process of its own, with little memory and time, which ends with its answer: what a
crafted file does to a parser does not reach the service, and memory taken by a large one is given back.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import resource
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zoo import onnx_file
from zoo.errors import UserError
from zoo.identifiers import is_slug
from zoo.keras_file import check_keras_file
from zoo.keras_graph import read_keras
from zoo.network_facts import NetworkFacts
from zoo.onnx_graph import read_onnx
from zoo.package_archive import ArchiveRefused, PackageInvalid, check_directory
from zoo.package_head_form import likely_head
from zoo.settings import GIB, Settings

PACKAGE, KERAS, ONNX = "package", "keras", "onnx"
SECONDS = 180
MOST_HALO, LEAST_HALO = 128, 8
ZIP_MAGIC, HDF5_MAGIC = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
HINT = "Drop a bioimage.io package (.zip), a Keras network (.keras) or an ONNX network (.onnx)."


@dataclass(frozen=True)
class Found:
    """`fields` are those of the form that the file tells (`zoo.package_fields`), `facts` the network's own numbers
    (`zoo.network_facts`, {} for packages), `wrong` what the author should look at: [{field, sentence}].
    """

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    wrong: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def inspect_file(path: Path, name: str, settings: Settings | None = None) -> Found:
    """What the file at `path` is; `name` is what its owner calls it. Raises `ArchiveRefused` or `PackageInvalid` for
    one that is not accepted, with a sentence and what would help."""
    settings = settings or Settings()
    command = [
        sys.executable, "-m", "zoo.package_inspect", str(path), "--name", name,
        "--package-bytes", str(settings.package_bytes), "--reviewed", ",".join(settings.reviewed_packages),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise PackageInvalid("Looking through the file takes too long.", HINT) from None
    if done.returncode:
        raise PackageInvalid("The file is damaged, or made to do harm: reading it failed.", HINT)
    said = json.loads(done.stdout.splitlines()[-1])
    if error := said.get("error"):
        refused = PackageInvalid(error["message"], error["hint"])
        refused.code, refused.status = error["code"], error["status"]
        raise refused
    return Found(**said)


def look(path: Path, name: str, settings: Settings) -> Found:
    """As `inspect_file`, in this process."""
    kind = _kind(path, name)
    if kind == PACKAGE:
        return _package(path, settings)
    if path.stat().st_size > settings.package_bytes:
        raise PackageInvalid(
            f"The file has {path.stat().st_size / 2**20:.0f} MiB; {settings.package_bytes / 2**20:.0f} MiB are allowed."
        )
    if kind == KERAS:
        with tempfile.TemporaryDirectory() as folder:
            check_keras_file(path, 2 * path.stat().st_size + 2**24, Path(folder))
        return _network(read_keras(path))
    onnx_file.look(path)
    return _network(read_onnx(path))


def _kind(path: Path, name: str) -> str:
    """By what the file begins with; its name only decides between a package and a Keras file, which both are zips."""
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise PackageInvalid("The file is empty.", HINT)
    if head.startswith(ZIP_MAGIC):
        if not zipfile.is_zipfile(path):
            raise ArchiveRefused(
                "This file begins as a zip archive, and does not end as one.",
                "It may be cut short: download or make it again, and look at its size.",
            )
        check_directory(path)
        names: set[str] = set()
        unreadable = (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError)
        with contextlib.suppress(*unreadable), zipfile.ZipFile(path) as archive:
            names = {member.filename for member in archive.infolist()[:2000]}
        described = names & {"rdf.yaml", "bioimageio.yaml"}
        return KERAS if not described and ("config.json" in names or name.lower().endswith(".keras")) else PACKAGE
    if head.startswith(HDF5_MAGIC):
        raise PackageInvalid(
            "This is a network in the old HDF5 form, which can hold programs.",
            "Open it with Keras 3 and save it again as .keras: keras.models.load_model(…).save('model.keras').",
        )
    suffix = Path(name).suffix.lower()
    if suffix in (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".safetensors"):
        raise PackageInvalid(
            f"A {suffix} file holds a PyTorch network or its weights, which Zooscope does not run.",
            "Export the network to ONNX with torch.onnx.export, and drop the .onnx file.",
        )
    if suffix not in (".onnx", ""):
        raise PackageInvalid(f"A {suffix} file is no package and no network that Zooscope runs.", HINT)
    return ONNX


def _network(facts: NetworkFacts) -> Found:
    """The fields that the form is prefilled with, and what stands in the way of running such a network."""
    stride = facts.stride or 1
    halo = min(MOST_HALO, -(-max(facts.reach or 0, LEAST_HALO) // stride) * stride)
    fields: dict[str, Any] = {"version": "1.0.0", "dimensionality": "2d", "halo": halo, "stride": stride,
                              "minimum_size": stride, "output_stride": facts.cell or 1}  # fmt: skip
    if facts.axes:
        fields |= {"axes": facts.axes, "output_axes": facts.output_axes}
    if facts.input_size:
        fields["input_size"] = facts.input_size
    if facts.channels:
        names = {1: ["grey"], 3: ["red", "green", "blue"]}
        fields["channel_names"] = names.get(facts.channels, [f"channel {n + 1}" for n in range(facts.channels)])
    if facts.maps:
        fields["output_channels"] = ["object"] if facts.maps == 1 else [f"map {n + 1}" for n in range(facts.maps)]
    fields["head"] = likely_head(facts.maps, facts.cell, facts.output_axes)
    if facts.activation:
        # The other heads are given sizes, corners and rays as well, which no sigmoid is for.
        logits = facts.activation == "linear" and fields["head"]["kind"] == "probability-mask"
        fields["activation"] = "sigmoid" if logits else "none"
    return Found(facts.framework, fields, facts.to_json(), _wrong(facts))


def _wrong(facts: NetworkFacts) -> list[dict[str, str]]:
    found = []
    if not facts.axes:
        found.append(("axes", "The network's input is not told by the file as one plane with or without channels: say "
                              "which axes it has. Networks of volumes are not run."))  # fmt: skip
    if not facts.padded:
        found.append(("halo", "A convolution without padding makes maps smaller than the image, which is not run: "
                              "build the network with padding='same'."))  # fmt: skip
    if facts.axes and not facts.channels:
        found.append(("channel_names", "The file does not tell how many channels the network takes: name them."))
    if facts.axes and not facts.maps:
        found.append(("output_channels", "The file does not tell how many maps the network makes: name them."))
    if facts.dtype not in ("float32", "float16"):
        found.append(("normalisation", f"The network takes {facts.dtype} numbers: what is done to the image must give "
                                       "numbers that fit."))  # fmt: skip
    return [{"field": name, "sentence": sentence} for name, sentence in found]


def _package(path: Path, settings: Settings) -> Found:
    from zoo.package_safety import check_contents
    from zoo.package_words import fields_of
    from zoo.packages import read_package

    package = read_package(path, settings)
    check_contents(package)
    fields = fields_of(package)
    wrong = []
    if not is_slug(package.id):
        fields["id"] = slug(package.name)
        wrong.append({"field": "id", "sentence": f"The package's own id {package.id[:60]!r} cannot be an address here: "
                                                 "this one is made of its name."})  # fmt: skip
    return Found(PACKAGE, fields, {}, wrong)


def slug(name: str) -> str:
    """A model's address made of its name."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-")


def _limit(path: Path) -> None:
    memory = 3 * GIB + 4 * path.stat().st_size
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--name", default="")
    parser.add_argument("--package-bytes", type=int, default=Settings().package_bytes)
    parser.add_argument("--reviewed", default="")
    given = parser.parse_args()
    reviewed = tuple(filter(None, given.reviewed.split(",")))
    _limit(given.path)
    said: Mapping[str, Any]
    try:
        settings = Settings(package_bytes=given.package_bytes, reviewed_packages=reviewed)
        said = look(given.path, given.name, settings).to_json()
    except UserError as error:
        said = {"error": {"code": error.code, "status": error.status, "message": error.message, "hint": error.hint}}
    print(json.dumps(said, default=str))


if __name__ == "__main__":
    main()
