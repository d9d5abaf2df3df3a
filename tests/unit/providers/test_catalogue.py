"""The catalogue is complete: each provider has its module, its test, its page, and what a test delivery needs."""

import ast
from pathlib import Path

import pytest

from gateway.core.provider import Provider
from gateway.providers import NAMES, PROVIDERS
from tests.catalogue import shapes

ROOT = Path(__file__).parents[3]
SHAPES = shapes()


def test_at_least_sixty_providers_stand_in_the_order_of_their_names() -> None:
    assert len(NAMES) >= 60
    assert list(NAMES) == sorted(set(NAMES))


def _defining() -> set[str]:
    """Return the modules that hold a constant of their own name."""
    found = set()
    for path in (ROOT / "gateway" / "providers").glob("*.py"):
        tree = ast.parse(path.read_text())
        targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
        if path.stem.upper() in {target.id for target in targets if isinstance(target, ast.Name)}:
            found.add(path.stem)
    return found


def test_every_provider_s_module_is_listed_and_every_listed_one_is_there() -> None:
    assert _defining() == set(NAMES)


def test_every_provider_has_its_test_and_no_test_is_of_another() -> None:
    assert list(SHAPES) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_goes_by_the_name_of_its_module_and_has_a_page(name: str) -> None:
    provider = PROVIDERS[name]
    page = ROOT / "docs" / "providers" / f"{name}.md"

    assert isinstance(provider, Provider)
    assert provider.name == name
    assert SHAPES[name].provider is provider
    assert page.exists(), "run `make docs`"
    assert provider.title in page.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_can_be_signed_for_unless_it_alone_holds_the_key(name: str) -> None:
    """By what `gateway send` uses: a configured source's own `sign`."""
    shape = SHAPES[name]
    target = shape.source()

    assert shape.provider.examples
    assert (target.sign is None) is (shape.provider.secrets == "none")
    if target.sign is not None:
        for event_type in shape.provider.examples:
            assert target.sign(shape.example(event_type)).headers["content-type"]
