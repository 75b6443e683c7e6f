"""Hostile uploads that no other module has, by their number in the list of bad inputs, and the sentence for each."""

from __future__ import annotations

import io
import json
import resource
import tarfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from example_network import keras_file
from example_package import make_package
from hostile_files import legacy_keras, million, nested_bomb, safetensors

from zoo.blobs import DiskBlobs
from zoo.catalogue import Catalogue, VersionExists
from zoo.npy_file import check_npy
from zoo.open_documents import open_documents
from zoo.package_archive import ArchiveRefused, PackageInvalid, check_archive
from zoo.package_inspect import look
from zoo.settings import Settings

LIMIT = 2**28


def refusal(path: Path, name: str) -> str:
    """What somebody is told who drops the file under that name."""
    with pytest.raises((ArchiveRefused, PackageInvalid)) as caught:
        look(path, name, Settings())
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE])
def test_34_tars_with_links_and_devices(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "model.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("rdf.yaml")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    assert refusal(path, "model.tar") == "A .tar file is no package and no network that Zooscope runs."
    with pytest.raises(ArchiveRefused, match="it is not a zip file"):
        check_archive(path, LIMIT)


def test_35_zips_in_zips_in_zips(tmp_path: Path) -> None:
    bomb = nested_bomb()
    (tmp_path / "42.zip").write_bytes(bomb)
    assert refusal(tmp_path / "42.zip", "42.zip") == "The package has no rdf.yaml."
    (tmp_path / "model.keras").write_bytes(bomb)
    assert "which belongs in no network" in refusal(tmp_path / "model.keras", "model.keras")


def test_35_a_bomb_as_the_weights_of_a_network(tmp_path: Path) -> None:
    network = tmp_path / "model.keras"
    with zipfile.ZipFile(network, "w", zipfile.ZIP_DEFLATED) as archive:
        with zipfile.ZipFile(io.BytesIO(keras_file())) as source:
            for name in ("metadata.json", "config.json"):
                archive.writestr(name, source.read(name))
        archive.writestr("model.weights.h5", bytes(2**26))
    assert "unpacks to" in refusal(network, "model.keras")
    package = make_package(tmp_path / "bomb.zip", weights=network)
    assert "unpacks to" in refusal(package, "bomb.zip")


@pytest.mark.parametrize("sixty_four", [False, True])
def test_39_a_million_members_are_counted_not_read(tmp_path: Path, sixty_four: bool) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(million(sixty_four))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ArchiveRefused, match="more than 1000"):
        check_archive(path, LIMIT)
    assert time.process_time() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**16


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model.hdf5", "model.zip"])
def test_41_hdf5_networks_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(legacy_keras())
    told = refusal(tmp_path / name, name)
    assert told == "This is a network in the old HDF5 form, which can hold programs."


def test_41_hdf5_in_the_place_of_a_keras_file(tmp_path: Path) -> None:
    network = tmp_path / "model.keras"
    network.write_bytes(legacy_keras())
    package = make_package(tmp_path / "legacy.zip", weights=network)
    assert refusal(package, "legacy.zip") == (
        "The Keras file is not accepted: it is a network in the old HDF5 form, which can hold programs."
    )


def test_44_bombs_of_arrays_are_no_tensors() -> None:
    out = io.BytesIO()
    np.savez_compressed(out, zeros=np.zeros(2**24, np.uint8))
    with pytest.raises(PackageInvalid, match=r"it is no \.npy file"):
        check_npy("test_input.npy", io.BytesIO(out.getvalue()), len(out.getvalue()))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".pkl"])
def test_44_pickles(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"cos\nsystem\n(S'touch /tmp/harmed'\ntR.")
    told = f"A {suffix} file holds a PyTorch network or its weights, which Zooscope does not run."
    assert refusal(path, path.name) == told
    renamed = tmp_path / "model.onnx"
    path.rename(renamed)
    assert refusal(renamed, renamed.name).startswith("The ONNX file is not accepted")


@pytest.mark.parametrize(
    "data",
    [
        safetensors(b" " * 1000, told=100 * 2**20),
        safetensors(
            json.dumps({name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for name in "ab"}).encode()
        ),
        safetensors(json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 99]}}).encode()),
    ],
    ids=["a header of 100 MB", "overlapping", "wrong length"],
)
def test_45_safetensors_are_not_opened(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    told = "A .safetensors file holds a PyTorch network or its weights, which Zooscope does not run."
    assert refusal(path, path.name) == told
    path.rename(tmp_path / "model.onnx")
    assert refusal(tmp_path / "model.onnx", "model.onnx").startswith("The ONNX file is not accepted")


def test_48_one_of_two_packages_of_one_version_wins(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", free_disk_bytes=0)
    settings.data.mkdir()
    packages = [make_package(tmp_path / str(side) / "cells.zip", name=f"Side {side}") for side in made(tmp_path, 4)]
    documents = open_documents(settings)
    catalogue = Catalogue(documents, DiskBlobs(settings.blobs_folder, 0), settings)
    together = threading.Barrier(len(packages))

    def publish(package: Path) -> str:
        together.wait()
        try:
            return str(catalogue.publish(package)["package_sha256"])
        except VersionExists as refused:
            return refused.message

    with ThreadPoolExecutor(len(packages)) as pool:
        answers = list(pool.map(publish, packages))
    there = catalogue.get("cells")
    assert [entry["version"] for entry in there["versions"]] == ["1.0.0"]
    assert answers.count(there["package_sha256"]) == 1
    told = "Version 1.0.0 of cells is published already, with other contents."
    assert answers.count(told) == len(packages) - 1
    assert list(catalogue.blobs.sha256s()).count(there["package_sha256"]) == 1
    documents.close()


def made(folder: Path, count: int) -> list[int]:
    """Numbers of folders that are there."""
    for number in range(count):
        (folder / str(number)).mkdir()
    return list(range(count))
