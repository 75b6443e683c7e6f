"""`zooscope preview`: the same files as a job, or one sentence, exit status 2, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from example_network import keras_file
from example_package import INSTANCES_HEAD, make_package
from PIL import Image

import zooscope
from scheduler.contract import RESULT_FILES
from zoo.preview_settings import INPUT_SETTINGS, PREVIEW_SETTINGS

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "cells.png"
    coarse = np.random.default_rng(1).integers(0, 220, (20, 30)).astype(np.uint8)
    Image.fromarray(coarse).resize((300, 200), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package whose weights are never loaded."""
    folder = tmp_path_factory.mktemp("package")
    return make_package(folder / "nuclei.zip", channels=3, head=INSTANCES_HEAD, preview={"maximum_pixels": 40_000})


REGION = ("--roi", "0,0,100,100")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--roi", "250,0,100,100"), "The region reaches to 350, 100"),
        (("--roi", "all"), "The region is 'all'"),
        ((*REGION, "--plane", "3"), "no plane 3"),
        ((*REGION, "--plane", "x"), "--plane is 'x'"),
        ((*REGION, "--channels", "0,1"), "channel"),
        ((*REGION, "--pixel-size", "-1"), "--pixel-size-um is '-1'"),
        ((*REGION, "--frames", "3"), "Only 1 works with this model"),
        ((*REGION, "--enhancement", "sharp"), "Choose off, cdeep3m2 or clahe"),
        ((*REGION, "--overlap", "0.5"), "does not apply to this model"),
        ((*REGION, "--threshold", "2"), "threshold"),
        ((*REGION, "--variations", "3"), "variations"),
        ((*REGION, "--tile-px", "few"), "tile_px"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    image: Path,
    package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    status = zooscope.main(["preview", str(image), "--model", str(package), "-o", str(tmp_path / "out"), *arguments])
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert words in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("image", "There is no file"), ("model", "There is no model"), ("text", "of a kind that"), ("out", "is a file")],
)
def test_wrong_files_are_named(
    image: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, words: str
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    given = {"image": str(image), "model": str(package), "out": str(tmp_path / "out")}
    given |= {"text": {"image": str(text)}, "out": {"out": str(text)}}.get(wrong, {wrong: "nowhere"})
    assert zooscope.main(["preview", given["image"], "--model", given["model"], "-o", given["out"], *REGION]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_model_that_cannot_run_leaves_nothing(
    image: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = zooscope.main(
        ["preview", str(image), "--model", str(package), "-o", str(tmp_path / "out"), *REGION, "--device", "cpu"]
    )
    assert status == 2
    assert "its description promises 2 maps" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_there_is_a_flag_for_every_setting_with_its_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        zooscope.main(["preview", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for setting in INPUT_SETTINGS + PREVIEW_SETTINGS:
        assert f"--{setting.name.replace('_', '-')} " in told
        assert " ".join(setting.help.split())[:40] in told


def test_what_a_model_can_do_is_listed(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        zooscope.main(["preview", "--list-settings", str(package)])
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0
    assert [line.split()[0] for line in lines if line.startswith("--seed-height")] == ["--seed-height"]
    assert not [line for line in lines if line.startswith(("--overlap", "--spot"))]
    with pytest.raises(SystemExit) as ended:
        zooscope.main(["preview", "--list-settings", "nowhere"])
    assert ended.value.code == 2
    assert "There is no model 'nowhere'" in capsys.readouterr().err


def test_planes_that_the_image_lacks_are_said_before_anything_runs(
    image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tmp_path / "planes3.keras"
    network.write_bytes(keras_file(3))
    path = make_package(tmp_path / "deep.zip", variants={3: network})
    command = ["preview", str(image), "--model", str(path), "-o", str(tmp_path / "out"), *REGION, "--frames", "1+3"]
    assert zooscope.main(command) == 2
    assert "Choose frames 1, or give a stack of at least 3 planes." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_terminal_gives_the_files_of_a_job(image: Path, tmp_path: Path) -> None:
    from test_preview import SETTINGS, network_file

    from worker.preview import ModelCache, PreviewJob, run_preview
    from zoo.images import Crop, PixelSize, read_region
    from zoo.packages import file_sha256, read_package
    from zoo.preview_settings import resolve
    from zoo.roi import Region

    path = make_package(
        tmp_path / "cells.zip", weights=network_file(tmp_path / "w.keras", 3, 2), channels=3, head=INSTANCES_HEAD
    )
    command = [
        sys.executable, "-m", "zooscope", "preview", str(image), "--model", str(path), "--roi", "20,10,200,150",
        "--pixel-size", "0.5", "--threshold", "0.45", "-o", str(tmp_path / "terminal"),
    ]  # fmt: skip
    for _ in range(2):
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert f"200 x 150 pixels: {tmp_path / 'terminal'}" in answer.stdout

    region, package = Region(20, 10, 200, 150), read_package(path, SETTINGS)
    crop = Crop(read_region(image, "cells.png", SETTINGS, region), PixelSize(0.5, 0.5), False, region)
    source = {"image_id": "x", "image_name": "cells.png", "image_sha256": file_sha256(image), "roi": region.to_json(),
              "plane": 0, "channels": None, "rgb": False, "pixel_size_um": 0.5}  # fmt: skip
    job = PreviewJob(package, crop, resolve({"threshold": 0.45}, package), source)
    (tmp_path / "job").mkdir()
    run_preview(job, ModelCache(SETTINGS, "cpu"), tmp_path / "job", lambda _: None, lambda _: None, lambda: False)

    assert sorted(file.name for file in (tmp_path / "terminal").iterdir()) == sorted(RESULT_FILES)
    for name in RESULT_FILES:
        one, two = ((tmp_path / folder / name).read_bytes() for folder in ("terminal", "job"))
        if name == "manifest.json":
            assert json.loads(one) | {"timings": 0} == json.loads(two) | {"timings": 0}
        else:
            assert one == two, name
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
