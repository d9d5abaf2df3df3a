import itertools
from pathlib import Path

import pytest

from gateway.config.plugins import import_router, import_routers
from gateway.config.settings import RouterSettings
from gateway.core.errors import PluginError
from tests.configuration import loaded

ROUTER = """
from gateway import Context, Event, Router

router = Router("billing")


@router.on("invoice.*", name="record")
async def record(event: Event, ctx: Context) -> None:
    pass


not_a_router = 5
"""

_numbers = itertools.count()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that writes a module of a name never imported before."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> str:
        name = f"plugin_under_test_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def configured(use: str, name: str = "billing") -> RouterSettings:
    return RouterSettings(name=name, use=use)


def test_a_router_is_found_in_its_module(module):
    router = import_router(configured(f"{module(ROUTER)}:router"))

    assert [handler.name for handler in router.handlers] == ["record"]


@pytest.mark.parametrize(
    "text, use, words",
    [
        (ROUTER, "{}:ruoter", 'has no ruoter; did you mean "router"?'),
        (ROUTER, "{}:not_a_router", "is a int, not a gateway.Router"),
        (ROUTER, "{}x:router", "there is no module"),
        (ROUTER, "nowhere.at.all:router", "there is no module nowhere; the current directory is on the path"),
        ("import not_installed_at_all", "{}:router", "needs the module not_installed_at_all, which is not installed"),
        ("1 / 0", "{}:router", "failed with ZeroDivisionError: division by zero"),
        ("def broken(:", "{}:router", "failed with SyntaxError"),
        (ROUTER.replace("async def", "def"), "{}:router", "asyncio.to_thread"),
        ("x = 1", "{}:router", "it defines no router"),
        (ROUTER, "no-such-entry-point", "no router no-such-entry-point is installed"),
    ],
)
def test_what_cannot_be_imported_says_why(module, text, use, words):
    with pytest.raises(PluginError) as caught:
        import_router(configured(use.format(module(text))))

    assert str(caught.value).startswith("router billing: ")
    assert words in str(caught.value)


def test_a_router_must_be_configured_under_its_own_name(module):
    with pytest.raises(PluginError, match="its own name is 'billing'"):
        import_router(configured(f"{module(ROUTER)}:router", name="invoices"))


def test_all_mistakes_of_all_routers_are_told_at_once(module, tmp_path):
    unreachable = ROUTER.replace('name="record"', 'name="record", source="strip"')
    text = (
        "sources: {stripe: {provider: stripe, secrets: [{env: STRIPE_SECRET}]}}\n"
        f'routers: {{billing: {{use: "{module(unreachable)}:router"}}, other: {{use: "nowhere:router"}}}}\n'
    )

    with pytest.raises(PluginError) as caught:
        import_routers(loaded(Path(tmp_path), text))

    first, second = str(caught.value).splitlines()
    assert "no source 'strip' is configured" in first
    assert "there is no module nowhere" in second
