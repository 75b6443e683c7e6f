from __future__ import annotations

import re

from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from zoo.preview_settings import INPUT_SETTINGS, PREVIEW_SETTINGS


def test_the_document_is_valid(client: FlaskClient) -> None:
    validate(client.get("/api/v1/openapi.json").get_json())


def test_every_route_is_described_and_everything_described_is_a_route(app: Flask, client: FlaskClient) -> None:
    routes = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    document = client.get("/api/v1/openapi.json").get_json()
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert routes == described


def test_every_operation_has_its_own_name_and_its_path_parameters(client: FlaskClient) -> None:
    document = client.get("/api/v1/openapi.json").get_json()
    names = []
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names.append(operation["operationId"])
            given = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert given == set(re.findall(r"{(\w+)}", path))
    assert len(set(names)) == len(names)


def test_settings_and_inputs_are_described_as_they_are_defined(client: FlaskClient) -> None:
    schemas = client.get("/api/v1/openapi.json").get_json()["components"]["schemas"]
    settings = schemas["Settings"]["properties"]
    assert list(settings) == [setting.name for setting in PREVIEW_SETTINGS]
    for setting in PREVIEW_SETTINGS:
        shown = settings[setting.name]["anyOf"][0] if setting.optional else settings[setting.name]
        assert shown["description"].startswith(setting.help)
        assert shown.get("default") == setting.default
        assert shown.get("examples" if setting.by_model else "enum", []) == list(setting.choices)
        assert (shown.get("minimum"), shown.get("maximum")) == (setting.minimum, setting.maximum)
    for setting in INPUT_SETTINGS:
        assert schemas["PreviewRequest"]["properties"][setting.name]["description"] == setting.help
