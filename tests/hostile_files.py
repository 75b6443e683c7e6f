"""Files made to do harm, in memory, and the beginning of the sentence that each is refused with."""

from __future__ import annotations

import copy
import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import yaml
from example_network import CONFIG, keras_file

Rdf = dict[str, Any]
DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml")


def deflated(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def one_member(name: str, mode: int = 0) -> bytes:
    out = io.BytesIO()
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    return out.getvalue()


def million(sixty_four: bool = False) -> bytes:
    """A directory of a million empty members; with a zip64 record the end record says that it is one."""
    count, entry = 10**6, struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *[0] * 9, 1, *[0] * 6) + b"a"
    # The first member is there, so that the file begins as a zip does.
    first = struct.pack("<4s5H3L2H", b"PK\x03\x04", *[0] * 8, 1, 0) + b"a"
    directory, size = entry * count, len(entry) * count
    told, more = (0xFFFF, size), b""
    if sixty_four:
        told = (1, len(entry))
        more = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, len(first))
        more += struct.pack("<4sLQL", b"PK\x06\x07", 0, len(first) + size, 1)
    return (
        first
        + directory
        + more
        + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, told[0], told[0], told[1], len(first), 0)
    )


def nested_bomb() -> bytes:
    bomb = deflated(zeros=bytes(2**22))
    for _ in range(5):
        bomb = deflated(**{f"lib{number}.zip": bomb for number in range(16)})
    return bomb


def with_layer(**entry: Any) -> bytes:
    """A `.keras` file with one more layer in its configuration."""
    config = copy.deepcopy(CONFIG)
    config["config"]["layers"].append({"name": "bad", "config": {}, "inbound_nodes": [], **entry})
    return keras_file(config=json.dumps(config).encode())


def linked_weights() -> bytes:
    """A `.keras` file whose weights are those of a file of the machine that reads it."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("x", (4,), "u1", external=[("/etc/hostname", 0, 4)])
    return keras_file(weights=out.getvalue())


def legacy_keras() -> bytes:
    """A network in the old HDF5 form, with a Lambda layer whose program is in the file: safe mode let it run."""
    layer = {"class_name": "Lambda", "config": {"function": ["4wEAAAAAAAAA", None, None], "function_type": "lambda"}}
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}})
        file.attrs["keras_version"] = "2.15.0"
        file.create_group("model_weights")
    return out.getvalue()


def safetensors(header: bytes, told: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if told is None else told) + header


def laughs() -> bytes:
    """Nine to the twelfth words, in a few hundred bytes of YAML."""
    lines = [b"a0: &a0 [" + b",".join([b"ha"] * 9) + b"]"]
    lines += [b"a%d: &a%d [%s]" % (level, level, b",".join([b"*a%d" % (level - 1)] * 9)) for level in range(1, 12)]
    return b"\n" + b"\n".join(lines) + b"\n"


def repacked(
    package: bytes, change: Callable[[Rdf, dict[str, bytes]], object] | None = None, text: bytes = b""
) -> bytes:
    """A package with its description and files changed, and `text` written behind its description."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in files if name in DESCRIPTIONS)
    if change is not None:
        rdf = yaml.safe_load(files[name])
        change(rdf, files)
        files[name] = yaml.safe_dump(rdf).encode()
    files[name] += text
    return deflated(**files)


def objects_for_input(package: bytes) -> bytes:
    """A package whose test input is an array of pickled objects."""
    out = io.BytesIO()
    np.save(out, np.array([{}], dtype=object), allow_pickle=True)

    def change(rdf: Rdf, files: dict[str, bytes]) -> None:
        files["test_input.npy"] = out.getvalue()
        rdf["inputs"][0]["test_tensor"] = {"source": "test_input.npy"}

    return repacked(package, change)


class Hostile(NamedTuple):
    item: int
    what: str
    role: str
    name: str
    data: bytes
    told: str


def hostile_files(package: Path) -> list[Hostile]:
    """One or two of each kind; `package` is a good one."""
    good = package.read_bytes()
    archive = "This archive is not accepted: "
    return [
        Hostile(34, "leaves the folder", "package", "a.zip", one_member("../x"), f"{archive}the file name '../x'"),
        Hostile(34, "a link", "package", "a.zip", one_member("x", stat.S_IFLNK | 0o777), archive + "'x' is a link"),
        Hostile(35, "zips in zips", "package", "42.zip", nested_bomb(), "The package has no rdf.yaml."),
        Hostile(35, "a bomb", "package", "a.zip", deflated(zeros=bytes(20 * 2**20)), archive + "it unpacks to over"),
        Hostile(36, "data behind", "package", "a.zip", good + b"more", archive + "there is something after its end"),
        Hostile(39, "a million members", "package", "a.zip", million(), archive + "it holds 65535 files, more than"),
        Hostile(
            40, "a Lambda", "weights", "a.keras", with_layer(module="keras.layers", class_name="Lambda"),
            "The Keras file is not accepted: it has a Lambda layer",
        ),
        Hostile(41, "old HDF5", "weights", "a.keras", legacy_keras(), "This is a network in the old HDF5 form"),
        Hostile(
            42, "a file of the machine", "weights", "a.keras", linked_weights(),
            "The file of weights is not accepted: the array 'x' in it lies in another file",
        ),
        Hostile(44, "a pickle", "weights", "a.pt", b"cos\nsystem\n(S'ls'\ntR.", "A .pt file holds a PyTorch network"),
        Hostile(
            44, "objects", "package", "a.zip", objects_for_input(good),
            "The test tensor 'test_input.npy' is not accepted: it holds objects",
        ),
        Hostile(45, "safetensors", "weights", "a.safetensors", safetensors(b" ", 2**27), "A .safetensors file holds"),
        Hostile(47, "laughs", "package", "a.zip", repacked(good, text=laughs()), "rdf.yaml has more than"),
        Hostile(
            47, "wrong sha256", "package", "a.zip",
            repacked(good, lambda rdf, files: files.update({"cover.jpg": b"another"})),
            "'cover.jpg' is not the file its sha256 names.",
        ),
    ]  # fmt: skip
