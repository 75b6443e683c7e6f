"""Registries of DOIs behind one interface: DataCite, Zenodo, or none. What each is told, and what can go wrong.

Every call is idempotent: a crash may come between any two requests of it, and it is then simply made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from zoo.errors import Unavailable, UserError, ZooscopeError
from zoo.settings import BadSetting, Settings

REGISTRIES = ("none", "datacite", "zenodo")


class RegistryDown(Unavailable):
    """The registry does not answer, or asks to wait; what was begun is gone on with later."""

    code = "doi-registry-down"
    retry_after_seconds = 30

    def __init__(self, message: str, hint: str = "", retry_after_seconds: int | None = None) -> None:
        super().__init__(message, hint)
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds


class RegistryRefused(ZooscopeError):
    """The registry says no, to our account or to what we tell it: the operator's matter, not the author's."""

    code = "doi-registry-refused"
    status = 502


class DoiTaken(ZooscopeError):
    """A name that was made up for a DOI is someone else's; another one is tried."""

    code = "doi-taken"
    status = 502

    def __init__(self, doi: str) -> None:
        super().__init__(f"The DOI {doi} is taken by something else.", "Another one will be tried.")
        self.doi = doi


class DoiBusy(UserError):
    """The registry takes one draft of a model at a time."""

    code = "doi-busy"
    status = 409


@dataclass(frozen=True)
class Reserved:
    """The two DOIs of a version, and what the registry needs to find its draft again."""

    doi: str
    concept_doi: str
    remote: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DoiRecord:
    """What a registry is told about one version of a model.

    `doi` and `concept_doi` are names: made up beforehand where `new_name` does that, else empty until reserved. They
    resolve to `url`, the page of this version, and `concept_url`, that of the model. `document` is the version's
    document as far as a citation needs it, empty while the DOI is only reserved. `remote` is what `reserve` gave for
    this version, `latest` for the one that was published last. `public` are the DOIs of the versions that are not
    withdrawn, newest first, and `newest` the document of the first of them. `reason` says why this one is withdrawn.
    """

    model_id: str
    version: str
    url: str
    concept_url: str
    doi: str = ""
    concept_doi: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)
    remote: Mapping[str, Any] = field(default_factory=dict)
    latest: Mapping[str, Any] = field(default_factory=dict)
    public: tuple[str, ...] = ()
    newest: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def key(self) -> str:
        return f"{self.model_id}@{self.version}"


class DoiRegistry(Protocol):
    """Raises `RegistryDown` when it makes sense to try again, `RegistryRefused` when it does not.

    `mints`: whether there are DOIs at all. `one_draft`: whether a model can have one reserved version at a time only.
    """

    name: str
    mints: bool
    one_draft: bool

    def new_name(self) -> str:
        """A DOI that nobody has yet; empty where the registry names them itself."""

    def reserve(self, record: DoiRecord) -> Reserved:
        """Have the DOIs of a version, and of its model if it is the first, kept as drafts. Raises `DoiTaken`."""

    def discard(self, record: DoiRecord) -> None:
        """Delete the draft of a version that was never published."""

    def publish(self, record: DoiRecord, package: Path) -> None:
        """Make the DOI of a version resolve for good; `package` is the zip, for registries that keep files."""

    def update(self, record: DoiRecord) -> None:
        """Replace what is told of a published version."""

    def withdraw(self, record: DoiRecord) -> None:
        """Take a published version out of the registry's search; its DOI resolves to its tombstone from now on."""

    def show_concept(self, record: DoiRecord) -> None:
        """Have the model's DOI tell of its newest public version and name all of them; hidden when none is left."""


def check_registry(settings: Settings) -> None:
    """Raise `BadSetting` when the registry that the settings name lacks what it needs."""
    if settings.doi_registry == "none":
        return
    needed = {"public_url", "doi_password"}
    needed |= {"doi_user", "doi_prefix"} if settings.doi_registry == "datacite" else set()
    lacking = sorted(f"ZOOSCOPE_{name.upper()}" for name in needed if not getattr(settings, name))
    if lacking:
        raise BadSetting(
            f"DOIs from {settings.doi_registry} need {' and '.join(lacking)}.",
            "Set them, or ZOOSCOPE_DOI_REGISTRY=none for a zoo without DOIs.",
        )
    if not settings.public_url.startswith(("https://", "http://")):
        raise BadSetting(
            f"ZOOSCOPE_PUBLIC_URL is {settings.public_url[:80]!r}, which no DOI can resolve to.",
            "Give the address people reach this Zooscope at, such as https://zoo.example.org.",
        )


def open_registry(settings: Settings) -> DoiRegistry:
    """The registry that the settings name; raises `BadSetting` when it lacks what it needs."""
    check_registry(settings)
    if settings.doi_registry == "none":
        from zoo.doi_none import NoRegistry

        return NoRegistry()
    if settings.doi_registry == "datacite":
        from zoo.doi_datacite import DataCite

        return DataCite(
            settings.doi_user, settings.doi_password, settings.doi_prefix, settings.doi_url, settings.publisher
        )
    from zoo.doi_zenodo import Zenodo

    return Zenodo(settings.doi_password, settings.doi_url)
