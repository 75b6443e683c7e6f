"""Publishing: a version never changes, the newest is shown, seeds are filled in once."""

from __future__ import annotations

import random
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from example_package import INSTANCES_HEAD, make_package

from zoo.blobs import BlobMissing, DiskBlobs
from zoo.catalogue import SEED_FOLDER, Catalogue, ModelMissing, VersionExists, version_order
from zoo.documents_sqlite import SqliteDocuments
from zoo.identifiers import BadIdentifier
from zoo.package_archive import ArchiveRefused
from zoo.packages import DESCRIPTION_NAMES, PackageInvalid, file_sha256, read_package
from zoo.settings import Settings


def named(version: str) -> str:
    """A name of the letters that bioimage.io allows, which a dot is not."""
    return f"Cells {version.replace('.', '-')}"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Packages of two models: cells in three versions, one of them also with other bytes, and mito."""
    folder = tmp_path_factory.mktemp("packages")
    made = {
        version: make_package(folder / version / "cells.zip", version=version, name=named(version))
        for version in ("1.2.0", "1.10.0", "1.3.0")
    }
    made["other bytes"] = make_package(folder / "other" / "cells.zip", version="1.2.0", name="Not the same")
    made["mito"] = make_package(folder / "mito.zip", channels=3, head=INSTANCES_HEAD | {"object": "mitochondrion"})
    return made


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    yield Catalogue(documents, DiskBlobs(tmp_path / "blobs"), Settings())
    documents.close()


def versions(catalogue: Catalogue, id: str = "cells") -> list[str]:
    return [entry["version"] for entry in catalogue.get(id)["versions"]]


def test_a_published_package_is_found_and_handed_out(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    published = catalogue.publish(packages["1.2.0"])
    assert (published["id"], published["version"], published["name"]) == ("cells", "1.2.0", named("1.2.0"))
    model = catalogue.get("cells")
    assert {name: model[name] for name in published} == published
    assert catalogue.get("cells", "1.2.0") == published
    assert catalogue.package_path("cells").read_bytes() == packages["1.2.0"].read_bytes()
    package = catalogue.package("cells", "1.2.0")
    read = read_package(packages["1.2.0"], Settings())
    assert package.__dict__ | {"path": None} == read.__dict__ | {"path": None}
    assert package.open(package.cover)[:2] == b"\xff\xd8"
    assert catalogue.blobs.read(published["package_sha256"]) == packages["1.2.0"].read_bytes()


def test_the_newest_version_is_shown_whatever_the_order(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    for version in ("1.3.0", "1.10.0", "1.2.0"):
        catalogue.publish(packages[version])
    model = catalogue.get("cells")
    assert (model["version"], model["name"]) == ("1.10.0", named("1.10.0"))
    assert versions(catalogue) == ["1.10.0", "1.3.0", "1.2.0"]
    assert model["versions"][2]["package_sha256"] == file_sha256(packages["1.2.0"])
    assert catalogue.get("cells", "1.2.0")["name"] == named("1.2.0")
    assert catalogue.package_path("cells", "1.2.0").read_bytes() == packages["1.2.0"].read_bytes()


def test_the_same_bytes_again_change_nothing(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    first = catalogue.publish(packages["1.2.0"])
    before = catalogue.documents.get("models", "cells")
    assert catalogue.publish(packages["1.2.0"]) == first
    assert catalogue.documents.get("models", "cells") == before


def test_other_bytes_under_a_published_version_are_refused(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    catalogue.publish(packages["1.2.0"])
    with pytest.raises(VersionExists) as caught:
        catalogue.publish(packages["other bytes"])
    assert caught.value.status == 409
    assert "new version" in caught.value.hint
    assert catalogue.get("cells")["name"] == named("1.2.0")
    assert list(catalogue.blobs.sha256s()) == [file_sha256(packages["1.2.0"])]


def test_of_two_publishers_of_one_version_one_wins(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    outcome: list[str] = []
    barrier = threading.Barrier(2)

    def publish(path: Path) -> None:
        barrier.wait()
        try:
            outcome.append(catalogue.publish(path)["package_sha256"])
        except VersionExists:
            outcome.append("refused")

    threads = [threading.Thread(target=publish, args=(packages[name],)) for name in ("1.2.0", "other bytes")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome)[1] == "refused"
    assert catalogue.get("cells")["package_sha256"] == sorted(outcome)[0]


def test_versions_published_at_once_are_all_listed(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    names = ("1.2.0", "1.10.0", "1.3.0")
    threads = [threading.Thread(target=catalogue.publish, args=(packages[name],)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions(catalogue) == ["1.10.0", "1.3.0", "1.2.0"]
    assert catalogue.get("cells")["version"] == "1.10.0"


def test_publishing_again_mends_what_was_cut_short(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    published = catalogue.publish(packages["1.2.0"])
    catalogue.documents.delete("models", "cells")
    catalogue.blobs.delete(published["package_sha256"])
    catalogue.publish(packages["1.2.0"])
    assert versions(catalogue) == ["1.2.0"]
    assert catalogue.package_path("cells").exists()


def test_what_is_no_package_is_refused_and_leaves_nothing(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ArchiveRefused):
        catalogue.publish(tmp_path / "text.zip")
    with pytest.raises(BadIdentifier):
        catalogue.publish(make_package(tmp_path / "_cells.zip"))
    assert catalogue.search().total == 0
    assert list(catalogue.blobs.sha256s()) == []


def test_a_description_no_document_can_hold_is_the_authors_fault(catalogue: Catalogue, tmp_path: Path) -> None:
    made = make_package(tmp_path / "cells.zip")
    with zipfile.ZipFile(made) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    description = next(name for name in DESCRIPTION_NAMES if name in files)
    scores = b"scores: [{value: 1.0, metric: F1, more: .nan}]"
    files[description] = files[description].replace(b"finds: test objects", scores)
    package = tmp_path / "nan.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(PackageInvalid, match="cannot be kept"):
        catalogue.publish(package)
    assert list(catalogue.blobs.sha256s()) == []


def test_what_is_not_there_is_said(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    catalogue.publish(packages["1.2.0"])
    with pytest.raises(ModelMissing, match="no model 'mito'"):
        catalogue.get("mito")
    with pytest.raises(ModelMissing, match=r"no version '9'") as caught:
        catalogue.package_path("cells", "9")
    assert caught.value.hint == "It has 1.2.0."
    catalogue.blobs.delete(catalogue.get("cells")["package_sha256"])
    with pytest.raises(BlobMissing):
        catalogue.package_path("cells")


def test_search_finds_and_counts_models_not_versions(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    for name in ("1.2.0", "1.10.0", "mito"):
        catalogue.publish(packages[name])
    page = catalogue.search(filters={"head.kind": ["watershed-instances"]})
    assert [item.id for item in page.items] == ["mito"]
    assert page.facets["about.task"] == {"instances": 1}
    counted = catalogue.search(filters={"head.kind": ["watershed-instances"]}, facets=["head.kind", "head.object"])
    assert counted.facets["head.kind"] == {"probability-mask": 1, "watershed-instances": 1}
    assert counted.facets["head.object"] == {"mitochondrion": 1}
    assert catalogue.search(ranges={"pixel_size_um": (None, 1)}).total == 0
    assert [item.id for item in catalogue.search("cells").items] == ["cells"]
    assert [item.id for item in catalogue.search().items] == ["cells", "mito"]


class Unread(Catalogue):
    """A catalogue that must not open a package."""

    def publish(self, path: Path) -> dict[str, object]:
        raise AssertionError(f"{path.name} was opened again")


def test_seeds_are_filled_in_once(catalogue: Catalogue, packages: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "seeds"
    folder.mkdir()
    (folder / "mito.zip").write_bytes(packages["mito"].read_bytes())
    (folder / "cells.zip").write_bytes(packages["1.2.0"].read_bytes())
    assert catalogue.fill_seeds(folder) == 2
    again = Unread(catalogue.documents, catalogue.blobs, catalogue.settings)
    assert again.fill_seeds(folder) == 0
    (folder / "cells.zip").write_bytes(packages["1.3.0"].read_bytes())
    assert catalogue.fill_seeds(folder) == 1
    assert versions(catalogue) == ["1.3.0", "1.2.0"]


def test_a_seed_that_lost_its_blob_is_filled_in_again(catalogue: Catalogue, packages: dict[str, Path]) -> None:
    folder = packages["1.2.0"].parent
    catalogue.fill_seeds(folder)
    catalogue.blobs.delete(catalogue.get("cells")["package_sha256"])
    assert catalogue.fill_seeds(folder) == 1
    assert catalogue.package_path("cells").exists()


def test_a_bad_seed_is_named_and_left_out(
    catalogue: Catalogue, packages: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "seeds"
    folder.mkdir()
    (folder / "bad.zip").write_text("no zip")
    (folder / "mito.zip").write_bytes(packages["mito"].read_bytes())
    assert catalogue.fill_seeds(folder) == 1
    assert "bad.zip" in caplog.text


def test_the_seeds_that_come_along_are_published(catalogue: Catalogue) -> None:
    seeds = sorted(SEED_FOLDER.glob("*.zip"))
    if not seeds:
        pytest.skip("no seed package was built yet")
    assert catalogue.fill_seeds() == len(seeds)
    for seed in seeds:
        model = catalogue.get(seed.stem)
        assert model["samples"], "a seed brings a picture to try it on"
        assert catalogue.package(model["id"]).open(model["samples"][0]["file"])


def test_versions_are_ordered_as_people_count() -> None:
    order = ["0.9", "1", "1.0-alpha", "1.0-rc1", "1.0-rc2", "1.0", "1.0.1", "1.2", "1.10", "2026.1", "2026.11"]
    shuffled = random.Random(1).sample(order, len(order))
    assert sorted(shuffled, key=version_order) == order
