"""How often a sign-in may fail: by the clock of the test."""

from __future__ import annotations

import pytest

from web import sign_in_limit
from web.sign_in_limit import SignInLimit, TooManyAttempts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> SignInLimit:
    return SignInLimit(clock)


def test_five_failures_wait_until_the_first_is_five_minutes_old(limit: SignInLimit, clock: Clock) -> None:
    for _ in range(5):
        limit.check("ada", "here")
        limit.failed("ada", "here")
        clock.now += 10
    with pytest.raises(TooManyAttempts) as told:
        limit.check("ada", "here")
    assert told.value.retry_after_seconds == 251
    limit.check("ada", "elsewhere")
    limit.check("eve", "here")
    clock.now += 251
    limit.check("ada", "here")
    limit.failed("ada", "here")
    with pytest.raises(TooManyAttempts):
        limit.check("ada", "here")


def test_a_name_tried_from_many_addresses_is_held_back(limit: SignInLimit, clock: Clock) -> None:
    for number in range(50):
        limit.check("ada", f"address {number}")
        limit.failed("ada", f"address {number}")
    with pytest.raises(TooManyAttempts):
        limit.check("ada", "another address")
    clock.now += 3601
    limit.check("ada", "another address")


def test_an_address_that_tries_many_names_is_held_back(limit: SignInLimit) -> None:
    for number in range(100):
        limit.failed(f"name {number}", "here")
    with pytest.raises(TooManyAttempts):
        limit.check("another name", "here")
    limit.check("another name", "elsewhere")


def test_this_machine_is_not_an_address(limit: SignInLimit) -> None:
    for number in range(200):
        limit.failed(f"name {number}", "")
        limit.new_account("")
    limit.check("another name", "")


def test_what_was_mistyped_before_a_right_password_is_forgotten(limit: SignInLimit) -> None:
    for _ in range(4):
        limit.failed("ada", "here")
    limit.succeeded("ada", "here")
    for _ in range(4):
        limit.failed("ada", "here")
    limit.check("ada", "here")


def test_a_course_room_makes_its_accounts_and_a_flood_does_not(limit: SignInLimit, clock: Clock) -> None:
    for _ in range(60):
        limit.new_account("a room")
    with pytest.raises(TooManyAttempts, match="your network"):
        limit.new_account("a room")
    limit.new_account("elsewhere")
    limit.check("ada", "a room")
    clock.now += 3601
    limit.new_account("a room")


def test_what_is_remembered_is_bounded(limit: SignInLimit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in_limit, "MOST_KEYS", 100)
    for number in range(1000):
        limit.failed(f"name {number}", f"address {number}")
    assert len(limit._failures) == 100


def test_few_passwords_are_hashed_at_once(limit: SignInLimit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in_limit, "HASH_WAIT_SECONDS", 0.01)
    with limit.hashing(), limit.hashing(), limit.hashing(), limit.hashing():
        with pytest.raises(TooManyAttempts) as told, limit.hashing():
            pass
        assert told.value.retry_after_seconds == 5
    with limit.hashing():
        pass
