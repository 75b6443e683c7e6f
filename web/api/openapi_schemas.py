"""Schemas of what the public API takes and gives, in JSON Schema as OpenAPI 3.1 has it."""

from __future__ import annotations

from typing import Any

from scheduler.contract import STATES
from zoo.preview_settings import INPUT_BY_NAME, PREVIEW_SETTINGS, PreviewSetting

Schema = dict[str, Any]


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    return found | {"required": list(required)} if required else found


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _page(name: str, **more: Schema) -> Schema:
    return _object(("items", "total"), items=_list(_ref(name)), total=INTEGER, **more)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
TRUTH: Schema = {"type": "boolean"}
FREE: Schema = {"type": "object"}
UUID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
TIME: Schema = {"type": "number", "description": "Seconds since 1970, UTC."}
ROI: Schema = {
    "type": "array", "items": INTEGER, "minItems": 4, "maxItems": 4,
    "description": "x, y, width, height in pixels of the image; x to the right, y down.",
}  # fmt: skip
PIXEL_SIZE: Schema = _object(("x_um", "y_um"), x_um=NUMBER, y_um=NUMBER)


def _setting(setting: PreviewSetting) -> Schema:
    """What a setting may be, as the one definition has it; a model may have fewer choices and other defaults."""
    found: Schema = {"description": setting.help + (f" In {setting.unit}." if setting.unit else "")}
    if setting.by_model:
        return found | {"type": "string", "examples": list(setting.choices), "default": setting.default}
    if setting.choices:
        return found | {"enum": list(setting.choices), "default": setting.default}
    found["type"] = "integer" if setting.kind == "integer" else "number"
    limits = {"minimum": setting.minimum, "maximum": setting.maximum, "default": setting.default}
    found |= {name: value for name, value in limits.items() if value is not None}
    return _or_null(found) if setting.optional else found


def _input(name: str, schema: Schema) -> Schema:
    return schema | {"description": INPUT_BY_NAME[name].help}


MODEL_CHOICE: Schema = {"anyOf": [TEXT, _object(("id",), id=TEXT, version=TEXT)]}
PREVIEW_REQUEST: Schema = _object(
    ("image", "models"),
    image=UUID | {"description": "Id of the image."},
    roi=_input("roi", _or_null(ROI)),
    plane=_input("plane", _setting(INPUT_BY_NAME["plane"])),
    channels=_input("channels", _or_null(_list(INTEGER))),
    pixel_size_um=_input(
        "pixel_size_um", {"anyOf": [_setting(INPUT_BY_NAME["pixel_size_um"]), PIXEL_SIZE, {"type": "null"}]}
    ),
    models=_list(MODEL_CHOICE) | {"minItems": 1, "maxItems": 32},
    settings=_ref("Settings"),
    rerun_of=_or_null(UUID | {"description": "One's own earlier job, which is run again with changes."}),
)

SCHEMAS: dict[str, Schema] = {
    "Anything": {},
    "Error": _object(
        ("error",),
        error=_object(
            ("code", "message", "hint"),
            code=TEXT | {"description": "For programs."},
            message=TEXT | {"description": "What is wrong, for people."},
            hint=TEXT | {"description": "What to do about it."},
        ),
    ),
    "Model": _object(
        ("id", "version", "name"),
        id=TEXT, version=TEXT, name=TEXT, description=TEXT, licence=TEXT, tags=_list(TEXT), channels=INTEGER,
        pixel_size_um=_or_null(NUMBER), package_sha256=TEXT, head=FREE, ert=FREE, samples=_list(FREE),
        requires=FREE | {"description": "What a worker must have: device, gpu_memory_gb."}, weights_formats=_list(TEXT),
    ),
    "ModelPage": _page("Model", facets=FREE),
    "PreviewSettings": _object(
        ("items", "inputs"), items=_list(_ref("PreviewSetting")), inputs=_list(_ref("PreviewSetting"))
    ),
    "PreviewSetting": _object(
        ("name", "label", "kind", "default", "help"),
        name=TEXT, label=TEXT, kind={"enum": ["choice", "number", "integer", "region", "channels"]}, default={},
        help=TEXT, choices=_list({}), labels=_list(TEXT), minimum=_or_null(NUMBER), maximum=_or_null(NUMBER),
        unit=TEXT, heads=_list(TEXT), head_field=TEXT, advanced=TRUTH, optional=TRUTH, by_model=TRUTH,
    ),
    "Image": _object(
        ("id", "name", "sha256", "width", "height", "planes", "channels", "urls"),
        id=UUID, name=TEXT, sha256=TEXT, bytes=INTEGER, created_at=TIME, mine=TRUTH, origin=_or_null(FREE),
        format=TEXT, width=INTEGER, height=INTEGER, planes=INTEGER, channels=INTEGER,
        channel_names=_list(TEXT), depth=INTEGER | {"description": "Planes of one z-stack."},
        dtype=TEXT, rgb=TRUTH, pixel_size=_or_null(PIXEL_SIZE),
        urls=_object(("tiles", "thumbnail"), self=TEXT, tiles=TEXT, thumbnail=TEXT),
    ),
    "ImagePage": _page("Image"),
    "PreviewRequest": PREVIEW_REQUEST,
    "Settings": {
        "type": "object",
        "properties": {setting.name: _setting(setting) for setting in PREVIEW_SETTINGS},
        "description": "By name; what is left out has the model's default. /preview-settings tells what a model has.",
    },
    "Estimates": _object(
        ("items", "queue"),
        items=_list(_object(
            ("model", "ok", "text", "reasons"),
            model=TEXT, version=_or_null(TEXT), ok=TRUTH, seconds=_or_null(NUMBER), load_s=_or_null(NUMBER),
            eta=_or_null(_ref("Eta")),
            text=TEXT, scale=_or_null(NUMBER), suitability=NUMBER, reasons=_list(TEXT), error=_or_null(FREE),
        )),
        queue=_object(("ahead", "workers"), ahead=INTEGER, workers=INTEGER),
    ),
    "Job": _object(
        ("uuid", "state", "model", "settings", "source", "links", "mine"),
        uuid=UUID, kind=TEXT, state={"enum": list(STATES)}, place=_or_null(INTEGER), progress=_or_null(FREE),
        eta=_or_null(_ref("Eta")),
        held=TRUTH | {"description": "It waits for another job of the same person to end: so many may run at once."},
        estimate=_or_null(FREE), model=FREE, settings=FREE, source=FREE, created_at=_or_null(TIME),
        started_at=_or_null(TIME), finished_at=_or_null(TIME), attempt=INTEGER, error=_or_null(FREE),
        history=_list(FREE), result=_or_null(FREE), rerun_of=_or_null(TEXT), input_sha256=TEXT,
        software_version=TEXT, links=FREE, mine=TRUTH,
    ),
    "Eta": _object(
        ("start_s", "end_s", "workers"),
        start_s=_or_null(NUMBER | {"description": "Seconds from now until it starts; null without such a worker."}),
        end_s=_or_null(NUMBER | {"description": "Seconds from now until it is done."}),
        workers=INTEGER | {"description": "How many connected workers can run it."},
    ),
    "Jobs": _object(("jobs",), jobs=_list(_ref("Job"))),
    "JobPage": _page("Job"),
    "Objects": _object(
        ("columns", "titles", "measures", "rows", "outlines", "colours", "own"),
        columns=_list(TEXT), titles=_list(TEXT), measures=_list(TEXT), scores=_or_null(_list(NUMBER)),
        rows=_list(_list({})), outlines=_list(_or_null(_list(_list(NUMBER)))), colours=_list(TEXT), own=TRUTH,
    ),
    "Status": _object(
        ("workers", "queued", "running", "beanstalkd"),
        workers=_list(FREE), queued=INTEGER, running=INTEGER, oldest_s=_or_null(NUMBER), beanstalkd=TEXT,
        software_version=TEXT,
    ),
}  # fmt: skip


def _json_body(schema: Schema, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/images"): {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _object(("file",), file={"type": "string", "format": "binary"})},
            "application/octet-stream": {"schema": {}},
        },
        "description": "A form with one file, or the bytes themselves with the name in the header X-Filename.",
    },
    ("post", "/images/from-sample"): _json_body(
        _object(("model", "sample"), model=TEXT, version=_or_null(TEXT), sample=INTEGER | {"minimum": 0})
    ),
    ("post", "/estimates"): _json_body(_ref("PreviewRequest")),
    ("post", "/jobs"): _json_body(_ref("PreviewRequest")),
    ("post", "/jobs/{uuid}/rerun"): _json_body(_object(settings=_ref("Settings")), required=False),
}
