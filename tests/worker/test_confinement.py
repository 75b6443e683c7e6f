"""What a child that runs a stranger's model is told of the service: limits and counts, nothing to get in with."""

from __future__ import annotations

from pathlib import Path

from worker.confinement import child_environment, child_settings
from zoo.settings import SETTINGS, Settings


def test_no_secret_and_no_address_reaches_the_child() -> None:
    given = {setting.name: f"private {setting.name}" for setting in SETTINGS if isinstance(setting.default, str)}
    handed = child_settings(Settings(**given | {"data": Path("private data")}))
    texts = {name for name, value in handed.items() if isinstance(value, str)}
    # A new setting that is text is handed on or kept back by decision: a child needs hardly any.
    assert texts <= {"beanstalkd_binary", "host", "local_accounts", "log_format", "publisher"}, texts
    assert "data" not in handed
    assert handed["plane_pixels"] == Settings().plane_pixels


def test_the_environment_of_the_service_stays_behind() -> None:
    service = {setting.variable: "private" for setting in SETTINGS}
    kept = child_environment(service | {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "private"}, 2, "cpu", "home")
    assert "private" not in kept.values()
    assert kept["PATH"] == "/bin"
