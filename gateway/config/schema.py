"""The JSON Schema of the configuration, from the models, for editors and for checks outside the gateway."""

from typing import Any

from gateway.config.installed import PROVIDERS
from gateway.config.model import Configuration
from gateway.config.values import NAME_PATTERN

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SCALARS = ("string", "integer", "number", "boolean")
_REFERENCE = {
    "type": "object",
    "title": "reference",
    "description": "A value that stands elsewhere: in an environment variable, or in a file.",
    "properties": {"env": {"type": "string"}, "file": {"type": "string"}, "default": {}},
    "additionalProperties": False,
    "anyOf": [{"required": ["env"]}, {"required": ["file"]}],
}


def json_schema() -> dict[str, Any]:
    """Return the schema: JSON Schema 2020-12."""
    schema = Configuration.model_json_schema()
    definitions = schema["$defs"]
    definitions["SourceSection"]["properties"]["provider"]["enum"] = sorted([*PROVIDERS, "custom"])
    for name, definition in definitions.items():
        definition["properties"] = {
            key: _without_null(child) if name == "SecretSection" else _or_reference(_without_null(child))
            for key, child in definition["properties"].items()
        }
    definitions["Reference"] = _REFERENCE
    for key in ("sources", "routers"):
        schema["properties"][key]["propertyNames"] = {"pattern": NAME_PATTERN}
    # A top-level section may be empty: all its keys commented out.
    for key in ("server", "log", "store", "routers"):
        schema["properties"][key] = {"anyOf": [schema["properties"][key], {"type": "null"}]}
    return {"$schema": DIALECT, **schema}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What is optional may be left out; it may not be null."""
    kept = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    choices = [choice for choice in kept.pop("anyOf", []) if choice != {"type": "null"}]
    if len(choices) > 1:
        return {**kept, "anyOf": choices}
    return {**kept, **choices[0]} if choices else kept


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    choices = schema.get("anyOf", ())
    if any(choice.get("type") in _SCALARS for choice in choices):
        return {**schema, "anyOf": [*choices, {"$ref": "#/$defs/Reference"}]}
    if schema.get("type") not in _SCALARS:
        return schema
    about: dict[str, Any] = {key: schema[key] for key in ("title", "description", "default") if key in schema}
    rest = {key: value for key, value in schema.items() if key not in about}
    return {**about, "anyOf": [rest, {"$ref": "#/$defs/Reference"}]}
