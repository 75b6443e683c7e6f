"""Expected runtimes: what packages claim, what finished jobs teach, and the leases that follow."""

from __future__ import annotations

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.ert import FIXED_SECONDS, UNMEASURED, estimate, lease_seconds, prior
from scheduler.runtimes import ENOUGH_FOR_SPREAD, KEPT, Figures, Runtimes, learn
from tests.scheduler.scheduler_parts import Parts, Worker
from zoo.settings import Settings

FIGURES = {"cpu": {"load_s": 2.0, "seconds_per_megapixel": 4.0}, "gpu": {"load_s": 3.0, "seconds_per_megapixel": 0.1}}
SETTINGS = Settings(ert_floor_seconds=10.0, ert_slack=3.0)


def test_the_estimate_follows_size_passes_and_warmth() -> None:
    figures = Figures(2.0, 0.0, 4.0)
    cold = estimate(figures, 2.0, 1, SETTINGS)
    assert (cold.seconds, cold.load_s, cold.ert_seconds) == (10.0, 2.0, 30.0)
    warm = estimate(figures, 2.0, 1, SETTINGS, warm=True)
    assert (warm.seconds, warm.load_s, warm.ert_seconds) == (8.0, 0.0, 30.0)
    assert estimate(figures, 2.0, 8, SETTINGS).seconds == 66.0


def test_the_claims_of_a_package_go_by_device() -> None:
    assert prior(FIGURES, "gpu:1").seconds_per_megapixel == 0.1
    assert prior({"cpu": FIGURES["cpu"]}, "gpu:0").load_s == 2.0
    assert prior({}) == Figures(UNMEASURED["load_s"], FIXED_SECONDS, UNMEASURED["seconds_per_megapixel"])


def test_a_lease_has_a_floor() -> None:
    assert lease_seconds(0.0, 3.0, SETTINGS) == 10.0
    assert estimate(Figures(2.0, 0.0, 4.0), 0.0, 0, SETTINGS).ert_seconds == 10.0


def test_nothing_seen_is_what_the_package_claims() -> None:
    assert learn(prior(FIGURES), []) == prior(FIGURES)


@pytest.mark.parametrize("claimed", [0.01, 1.0, 40.0])
def test_after_ten_jobs_of_mixed_sizes_the_error_is_small_whatever_the_package_claims(claimed: float) -> None:
    """One job in ten ran on a busy machine, five times as slow."""
    source = random.Random(4)

    def runtime(work: float) -> float:
        slow = 5.0 if source.random() < 0.1 else 1.0
        return (0.3 + 0.6 * work) * source.lognormvariate(0, 0.08) * slow

    works = [source.uniform(0.05, 8.0) for _ in range(60)]
    seen = [{"work": work, "seconds": runtime(work), "load_s": 0.0} for work in works[:10]]
    figures = learn(Figures(2.0, FIXED_SECONDS, claimed), seen)
    errors = [abs(estimate(figures, work, 1, SETTINGS, warm=True).seconds / runtime(work) - 1) for work in works[10:]]
    assert median(errors) <= 0.2
    assert figures.jobs == 10


def test_a_spread_replaces_the_slack_once_enough_is_seen() -> None:
    seen = [{"work": 1.0, "seconds": 1.0, "load_s": 0.0}] * ENOUGH_FOR_SPREAD
    few, enough = learn(Figures(1.0, 0.2, 1.0), seen[:-1]), learn(Figures(1.0, 0.2, 1.0), seen)
    assert few.spread is None
    assert enough.spread == pytest.approx(1.0, abs=0.05)
    settings = Settings(ert_floor_seconds=0.0, ert_slack=9.0)
    assert estimate(enough, 1.0, 1, settings).ert_seconds < estimate(few, 1.0, 1, settings).ert_seconds


def test_only_cold_starts_teach_the_loading() -> None:
    seen = [{"work": 1.0, "seconds": 1.0, "load_s": load} for load in (0.0, 4.0, 0.001, 4.2, 3.8)]
    assert learn(Figures(1.0, 0.2, 1.0), seen).load_s == 4.0


@given(st.lists(st.tuples(st.floats(0.001, 1e4), st.floats(0.0, 1e5)), min_size=1, max_size=KEPT))
def test_whatever_was_seen_no_estimate_is_negative_or_no_number(seen: list[tuple[float, float]]) -> None:
    observations = [{"work": work, "seconds": seconds, "load_s": 0.0} for work, seconds in seen]
    figures = learn(Figures(1.0, 0.2, 1.0), observations)
    assert 0 <= figures.fixed_s < 1e9
    assert 0 <= figures.seconds_per_megapixel < 1e9


def test_jobs_teach_by_model_and_kind_of_device(parts: Parts) -> None:
    runtimes = Runtimes(parts.documents)
    for _ in range(KEPT + 5):
        runtimes.record("a" * 64, "gpu:0", 2.0, 1.0, 0.0)
    claimed = Figures(1.0, 0.2, 50.0)
    assert runtimes.figures("a" * 64, "gpu:1", claimed).jobs == KEPT
    assert runtimes.figures("a" * 64, "cpu", claimed) == claimed
    assert runtimes.figures("b" * 64, "gpu:0", claimed) == claimed


def test_a_finished_job_teaches_the_scheduler(parts: Parts, worker: Worker) -> None:
    parts.submit(work=3.0)
    claim = worker.begin()
    assert worker.finish(claim).status_code == 200
    learned = parts.scheduler.figures(claim.package_sha256, FIGURES, "cpu")
    assert learned.jobs == 1
    assert learned.seconds_per_megapixel < 4.0
