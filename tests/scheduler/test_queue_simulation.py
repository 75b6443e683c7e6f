"""The simulation of many workers and users: it runs, loses nothing, and shows what the order of jobs is good for."""

from __future__ import annotations

import sys

import pytest

from benchmarks import queue_simulation
from benchmarks.queue_simulation import QUICK, SEED, faults_of, jain, quantile, simulate, waits
from benchmarks.simulation.load import Wish, wishes
from benchmarks.simulation.service import Run


@pytest.fixture(scope="module")
def asked() -> list:
    return wishes(SEED, QUICK.users, QUICK.bursts, QUICK.jobs, QUICK.seconds, QUICK.pause)


def test_every_job_is_done_once_although_every_third_machine_dies(asked: list) -> None:
    simulation, _ = simulate(QUICK, asked, deaths=0.33)
    assert faults_of(simulation) == []
    assert sum(run.wasted for run in simulation.runs) > 0
    assert all(run.done is not None for run in simulation.runs)


def test_previews_do_not_wait_behind_bursts(asked: list) -> None:
    fair, _ = simulate(QUICK, asked, deaths=0.0)
    fifo, _ = simulate(QUICK, asked, deaths=0.0, fifo=True)
    assert quantile(waits(fair.runs, "preview"), 0.5) < quantile(waits(fifo.runs, "preview"), 0.5) / 3


@pytest.mark.parametrize(("shares", "index"), [([50.0, 50.0, 50.0, 50.0], 1.0), ([200.0, 0.0, 0.0, 0.0], 0.25)])
def test_the_fairness_index(shares: list[float], index: float) -> None:
    # Four users ask for 100 s each of one worker; half of it could be done in 200 s.
    runs = [
        Run(Wish(0.0, f"burst-{number}", "run", 100.0, 100.0), spans=[(200.0 - share, 300.0)])
        for number, share in enumerate(shares)
    ]
    assert jain(runs, workers=1) == (pytest.approx(index), 4)


def test_a_job_that_was_not_done_once_is_told(asked: list) -> None:
    simulation, _ = simulate(QUICK, asked[:1], deaths=0.0)
    simulation.runs += [Run(asked[0], results=2), Run(asked[0])]
    assert faults_of(simulation) == ["2 jobs were not done exactly once"]


def test_the_same_seed_asks_for_the_same() -> None:
    assert wishes(1, 5, 2, 10, 100.0, 10.0) == wishes(1, 5, 2, 10, 100.0, 10.0)
    assert wishes(1, 5, 2, 10, 100.0, 10.0) != wishes(2, 5, 2, 10, 100.0, 10.0)


def test_it_prints_what_the_issue_asks_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["queue_simulation", "--quick"])
    queue_simulation.main()
    printed = capsys.readouterr().out
    for word in ("preview, waits", "Jain's fairness index", "wasted work", "1 % of attempts", "10 % of attempts"):
        assert word in printed
