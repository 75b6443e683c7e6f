"""The registry of an installation without an account at one: it mints nothing, and whoever asks is told so."""

from __future__ import annotations

from pathlib import Path

from zoo.doi_registry import DoiRecord, Reserved


class NoRegistry:
    name = "none"
    mints = False
    one_draft = False

    def new_name(self) -> str:
        return ""

    def reserve(self, record: DoiRecord) -> Reserved:
        return Reserved("", "")

    def discard(self, record: DoiRecord) -> None:
        """Nothing was reserved."""

    def publish(self, record: DoiRecord, package: Path) -> None:
        """No DOI is minted."""

    def update(self, record: DoiRecord) -> None:
        """There is no DOI."""

    def withdraw(self, record: DoiRecord) -> None:
        """There is no DOI."""

    def show_concept(self, record: DoiRecord) -> None:
        """There is no DOI."""
