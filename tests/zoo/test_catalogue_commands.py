"""`zooscope publish` and `zooscope models` on a data folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_package import make_package

import zooscope


def test_a_published_package_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package, data = make_package(tmp_path / "spotter.zip"), str(tmp_path / "data")
    assert zooscope.main(["publish", str(package), "--data", data]) == 0
    assert capsys.readouterr().out.startswith("Published spotter 1.0.0 (Test model), package ")
    assert zooscope.main(["models", "--data", data]) == 0
    assert capsys.readouterr().out.split() == ["spotter", "1.0.0", "test", "objects"]
    assert zooscope.main(["models", "unicorns", "--data", data]) == 0
    assert capsys.readouterr().out == ""


def test_other_contents_under_a_published_version_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(tmp_path / "data")]
    assert zooscope.main(["publish", str(make_package(tmp_path / "spotter.zip")), *data]) == 0
    other = make_package(tmp_path / "spotter.zip", name="Another")
    assert zooscope.main(["publish", str(other), *data]) == 2
    assert "A published version never changes" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no zip"])
def test_what_is_no_package_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    file = tmp_path / "model.zip"
    if content is not None:
        file.write_bytes(content)
    assert zooscope.main(["publish", str(file), "--data", str(tmp_path / "data")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_listing_makes_no_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zooscope.main(["models", "--data", str(tmp_path / "none")]) == 2
    assert "There is no zoo" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
