"""The whole catalogue as the tests know it: each provider with its secret, settings, keys and documents."""

import importlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.provider_shape import ProviderShape

FOLDER = Path(__file__).parent / "unit" / "providers" / "catalogue"


@cache
def shapes() -> Mapping[str, ProviderShape]:
    """Return every provider's shape by the provider's name; of several of one provider the first of its file."""
    found: dict[str, ProviderShape] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        for shape in _shapes_of(path):
            found.setdefault(shape.provider.name, shape)
    return dict(sorted(found.items()))


def _shapes_of(path: Path) -> Iterator[ProviderShape]:
    # By the name that pytest gives it, so that it is loaded once.
    module = importlib.import_module(f"tests.unit.providers.catalogue.{path.stem}")
    for value in list(vars(module).values()):
        if isinstance(value, type) and issubclass(value, ProviderShape) and hasattr(value, "provider"):
            yield value()
