"""Settings: read from the environment, read-only, and every one of them documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.settings import SETTINGS, BadSetting, Setting, Settings, read_settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"
SAMPLES = {int: "7", float: "2.5", str: "text", bool: "1", tuple: "one.org,two.org"}
# Settings that take only some words.
CHOICES = {"log_format": "json", "local_accounts": "open", "doi_registry": "zenodo"}


def documented() -> dict[str, list[str]]:
    """The cells of each row of the table, by variable."""
    rows = [
        line.strip().strip("|").split(" | ") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")
    ]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells] for cells in rows}


def default_in_words(setting: Setting) -> str:
    value = setting.default
    if value in (None, "", ()):
        return "empty"
    return f"`{int(value) if isinstance(value, bool) else value}`"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_documented_as_it_is(setting: Setting) -> None:
    assert documented().get(setting.variable) == [f"`{setting.variable}`", default_in_words(setting), setting.help], (
        f"docs/settings.md needs the row: | `{setting.variable}` | {default_in_words(setting)} | {setting.help} |"
    )


def test_nothing_is_documented_that_is_no_setting() -> None:
    assert list(documented()) == [setting.variable for setting in SETTINGS]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_read_and_handed_on(setting: Setting) -> None:
    text = CHOICES.get(setting.name) or SAMPLES.get(type(setting.default), "folder")
    found = read_settings({setting.variable: text})
    assert getattr(found, setting.name) == setting.read(text) != setting.default
    assert read_settings(found.environment()).__dict__ == found.__dict__


def test_an_empty_environment_is_every_default() -> None:
    assert read_settings({}).__dict__ == {setting.name: setting.default for setting in SETTINGS}
    empty = {setting.variable: "" for setting in SETTINGS}
    assert read_settings(empty).__dict__ == read_settings({}).__dict__


@pytest.mark.parametrize("variable", ["ZOOSCOPE_PORT", "ZOOSCOPE_ERT_SLACK", "ZOOSCOPE_LOG_FORMAT"])
def test_a_value_that_does_not_parse_is_named_with_what_it_means(variable: str) -> None:
    setting = next(setting for setting in SETTINGS if setting.variable == variable)
    with pytest.raises(BadSetting) as caught:
        read_settings({variable: "many"})
    assert variable in caught.value.message
    assert setting.help in caught.value.message


def test_settings_are_read_only_and_replaced_as_a_whole() -> None:
    settings = Settings(port=1)
    with pytest.raises(AttributeError):
        settings.port = 2
    with pytest.raises(AttributeError):
        _ = settings.prt
    with pytest.raises(BadSetting):
        Settings(prt=1)
    changed = settings.replace(host="::")
    assert (changed.port, changed.host, settings.host) == (1, "::", "127.0.0.1")


def test_everything_kept_lies_in_the_data_folder(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    places = [getattr(settings, name) for name, found in vars(Settings).items() if isinstance(found, property)]
    assert len(set(places)) == len(places) == 5
    assert all(place.parent == tmp_path for place in places)
