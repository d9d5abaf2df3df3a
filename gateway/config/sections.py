"""One section of the configuration against its model."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.config.mistakes import report_mistakes
from gateway.config.problems import KeyPath
from gateway.config.report import Report
from gateway.config.values import Name

Model = TypeVar("Model", bound=BaseModel)

_name: TypeAdapter[str] = TypeAdapter(Name)


def section_of(
    model: type[Model],
    raw: object,
    path: KeyPath,
    report: Report,
    *,
    stand_in: Mapping[str, Any] = MappingProxyType({}),
) -> Model | None:
    """Validate `raw`; report its mistakes, and return what is left without them, None if that is too little.

    `stand_in` replaces required keys that are wrong, so that more of the section can be checked.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        report_mistakes(error, path, report)
        wrong = {str(details["loc"][0]) for details in error.errors() if details["loc"]}
        return _without(model, raw, wrong, stand_in)


def _without(model: type[Model], raw: object, wrong: set[str], stand_in: Mapping[str, Any]) -> Model | None:
    if not isinstance(raw, dict) or not wrong:
        return None
    kept = {key: value for key, value in raw.items() if key not in wrong}
    try:
        return model.model_validate({**stand_in, **kept})
    except ValidationError:
        return None


def check_name(name: str, path: KeyPath, report: Report) -> None:
    """Report a source's or router's name that has the wrong form."""
    try:
        _name.validate_python(name)
    except ValidationError as error:
        message, _, remedy = str(error.errors()[0]["ctx"]["error"]).partition("; ")
        report.add(path, message, remedy, at_key=True)


def mapping_at(tree: dict[str, Any], key: str, report: Report) -> dict[str, Any]:
    """Return the mapping of a top-level key, an empty one if it is absent; report anything else."""
    raw = tree.get(key, {})
    if isinstance(raw, dict):
        return raw
    report.add((key,), "must be a mapping", "write key: value below it")
    return {}
